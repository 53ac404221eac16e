"""What happens in a story: its beats, in order, and the ways in which each can be told.

A telling is a scene's title and what follows its opening words ("At dusk, under low clouds, "). Those that name
{friend} are told only after the friend has been met. Verbs fit he, she and they alike: never "{they} was".
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Beat:
    """A kind of event. `weight` says how soon a short story needs it, `calm` how settled the weather is, from 0 to 1."""

    key: str
    weight: int
    mood: str
    calm: float


# In the order of a story. One scene has only the first; each scene more adds the beat with the next highest weight.
BEATS = (
    Beat("opening", 100, "calm", 0.9),
    Beat("sign", 85, "uneasy", 0.7),
    Beat("doubt", 40, "uneasy", 0.6),
    Beat("leaving", 70, "hopeful", 0.8),
    Beat("friend", 60, "warm", 0.8),
    Beat("road", 0, "curious", 0.6),
    Beat("clue", 50, "curious", 0.5),
    Beat("trial", 90, "brave", 0.1),
    Beat("low", 55, "dark", 0.2),
    Beat("insight", 45, "hopeful", 0.6),
    Beat("truth", 95, "wonder", 0.7),
    Beat("return", 30, "warm", 0.9),
    Beat("ending", 80, "calm", 1.0),
)

Telling = tuple[str, str]

# What the opening adds in a story too short for a scene of its own about the sign.
SIGNS = (
    "Then, one day, there was {sign}. {clue}",
    "But that day something was different: {sign}. {clue}",
    "Until there was {sign}. Somebody had to {goal}.",
    "That was before {their} eyes fell on {sign}. Somebody had to {goal}.",
)

TELLINGS: Mapping[str, tuple[Telling, ...]] = {
    "opening": (
        ("An Ordinary Day", "{who} stood {spot} and did what {they} did every day: looked, counted, and was content."),
        ("Before It Began", "{who} sat {spot} with bread and a blanket, sure that nothing new could happen in {home}."),
        ("The Usual Round", "{who} made the usual round and stopped {spot}, where {they} knew every sound by heart."),
        ("A Quiet Life", "{who} waited {spot}, as {they} had waited for years, without quite knowing for what."),
        ("Everything in Its Place", "{who} put everything in its place and rested {spot}. It was a good life, and a small one."),
    ),
    "sign": (
        ("Something New", "{name} looked up {spot} and saw {sign}. {clue}"),
        ("The First Sign", "{name} came upon {sign}. {They} rubbed {their} eyes {spot}, and it was still there."),
        ("What Nobody Else Saw", "there was {sign}, plain to see {spot}. Only {name} stopped; only {name} felt {their} heart beat."),
        ("The Interruption", "{name} was thinking of supper {spot} when it appeared: {sign}."),
    ),
    "doubt": (
        ("Reasons to Stay", "{name} walked in circles {spot} and counted reasons to stay at home. There were nine, all of them good."),
        ("Not My Business", "{name} told the wind {spot} that it was none of {their} business. The wind did not agree."),
        ("Advice", "{name} asked the neighbours {spot}. They advised soup, sleep, and on no account to go."),
        ("One More Night", "{name} gave it one more night {spot}. In the morning the {short} had not gone away."),
    ),
    "leaving": (
        ("Setting Out", "{name} packed a lamp, a knife and two apples and set out to {goal}. {They} looked back once {spot}."),
        ("The First Step", "{name} took the first step {spot}, then the second. Somebody had to {goal}."),
        ("Locking the Door", "{name} locked the door, put the key under a stone and did not stop before {they} stood {spot}."),
        ("A Short Farewell", "{name} said goodbye to nobody in particular {spot}. {They} meant to {goal}, and to be back by Sunday."),
    ),
    "friend": (
        ("Company", "{name} met {a_friend} {spot}. Neither asked where the other was going; they went there together."),
        ("The Stranger", "{a_friend} was waiting {spot}. 'You are late,' it seemed to say, and {name} found that {they} agreed."),
        ("A Shared Apple", "{name} shared the last apple with {a_friend} {spot}, and from that hour {they} had company."),
        ("Two Are More Than One", "{name} pulled {a_friend} out of the mud {spot}. It was a poor beginning and a good friendship."),
    ),
    "road": (
        ("A Long Way", "{name} went on until {their} shoes were thin and rested {spot}. The world was larger than {they} had been told."),
        ("The Wrong Turning", "{name} took the wrong turning and found, {spot}, the best view of the whole journey."),
        ("An Old Woman's Riddle", "{name} met an old woman {spot}. 'What you seek is seeking you,' she said, 'but it walks more slowly.'"),
        ("The Bargain", "{name} traded {their} watch for directions {spot}. The directions were wrong, and led to the right place."),
        ("A Night's Lodging", "{name} lay down {spot} and dreamt of {home}. In the dream somebody had left the lamp on."),
        ("Footsteps", "{name} heard footsteps {spot}. They stopped when {they} stopped: it was only an echo, and a friendly one."),
        ("The Toll", "{name} had to pay a toll {spot}: one memory. {They} gave an unhappy one and kept the change."),
        ("Bread and Salt", "{name} was given bread and salt {spot} by people who had little else, and who wanted to hear it all."),
        ("The Ruin", "{name} found old stones {spot} with a name cut into them. It was very nearly {their} own."),
        ("Counting", "{name} counted steps {spot} until the numbers ran out, and then went on without them."),
        ("The Quarrel", "{name} and {friend} quarrelled {spot} about nothing at all, and were both too proud to walk first."),
        ("Making Up", "{friend} put half of the supper in front of {name} {spot}. No word was said; none was needed."),
        ("The Lookout", "{name} and {friend} kept watch in turns {spot}, and neither woke the other when their turn was over."),
        ("A Small Feast", "{name} and {friend} held a small feast {spot}: three nuts, a song, and the whole of the view."),
        ("The Shortcut", "{friend} knew a shortcut {spot}. It was twice as long and four times as beautiful."),
        ("Rumours", "{name} heard rumours of the {short} {spot}: that it was a lie, a trap, a wonder. {They} hoped for the last."),
        ("The Empty House", "{name} came to an empty house {spot} with the table laid for one more guest than there were chairs."),
    ),
    "clue": (
        ("Closer", "{name} saw it again {spot}, closer now. {clue}"),
        ("The Pattern", "{name} understood, {spot}, that the {short} was no accident. {clue}"),
        ("What It Meant", "{name} drew it in the dust {spot} and looked at it for a long time. {clue}"),
        ("A Second Look", "{name} studied the {short} {spot} with great care. {clue}"),
    ),
    "trial": (
        ("The Trial", "{name} held on with both hands {spot}. {They} had come to {goal}, and {they} would not let go now."),
        ("No Way Back", "the way back was gone. {name} stood {spot}, soaked and shaking, and took one step, and then another."),
        ("The Crossing", "{name} had to cross a gap {spot} that nobody had crossed before. Halfway over {they} stopped being afraid."),
        (
            "All at Once",
            "everything happened at once {spot}: the noise, the cold, the long way down. When it was over, {name} still stood.",
        ),
    ),
    "low": (
        ("The Low Point", "{name} sat {spot} and could not remember why {they} had come. The {short} was nowhere to be seen."),
        ("Lost", "{name} was lost {spot}, with the lamp out and nothing left to eat. It was very quiet."),
        ("Giving Up", "{name} gave up {spot}. {They} gave up properly, with both hands, and then there was nothing left to fear."),
        ("Alone", "{name} called out {spot} and only the echo came, and even the echo sounded tired."),
    ),
    "insight": (
        ("A Thought", "{name} laughed {spot}, out loud and alone: {they} had looked everywhere except where it was."),
        ("What Was Overlooked", "{name} turned everything over once more {spot}, and there it was, as plain as bread."),
        ("The Turn", "{name} got up {spot}. One did not have to be brave to {goal}; one only had to be there."),
        ("A Different Question", "{name} had asked how for so long that it was a relief, {spot}, to ask why."),
    ),
    "truth": (
        ("The Truth", "{name} reached the {short} at last {spot}. {truth} {answer}"),
        ("The Meeting", "{name} stood {spot} and understood. {truth} {answer}"),
        ("What It Was", "there was no more riddle {spot}. {truth} {answer}"),
        ("At Last", "{name} came to the end of the way {spot}. {truth} {answer}"),
    ),
    "return": (
        ("The Way Home", "{name} took the way home past all the old places, and rested once {spot}. It seemed much shorter."),
        ("Familiar Ground", "{name} smelled {home} before {they} saw it, and sat down {spot} to make it last."),
        ("Turning Back", "{name} turned back {spot} without regret. Some roads are only good in both directions."),
    ),
    "ending": (
        ("Home", "{name} stood {spot} again, where all of it had begun. {ending}"),
        ("After", "{name} was back {spot}, and everything was as before, except for {name}. {ending}"),
        ("The Quiet After", "{name} sat {spot} and told it to anyone who asked. {ending}"),
        ("A New Ordinary Day", "{name} made the usual round and stopped {spot}, and smiled. {ending}"),
    ),
}
