"""What a story is about: something strange that appears, and what it turns out to be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quest:
    """A mystery. Sentences may use {name}, {they}, {them}, {their} and their capitals; `short` is what titles call it."""

    sign: str
    short: str
    goal: str
    clue: str
    truth: str
    answer: str
    ending: str


QUESTS = (
    Quest(
        sign="a green light, far out where no lamp should be",
        short="green light",
        goal="find out who tended it",
        clue="It blinked three times, stopped, and blinked three times again.",
        truth="It was a lantern in the hand of somebody who had waited years for an answer and had never seen one.",
        answer="{name} raised {their} own lamp and answered.",
        ending="From then on two lights burned every night, and neither was lonely.",
    ),
    Quest(
        sign="a bell that rang although nobody pulled its rope",
        short="bell",
        goal="learn who was ringing it",
        clue="It rang once for every step that {they} took.",
        truth="There was nobody at the rope, only the wind, and a knot tied long ago so that the lost would hear it.",
        answer="{name} tied the knot again, tighter than before.",
        ending="The bell still rings, and people still come home by it.",
    ),
    Quest(
        sign="a letter with {their} name on it and no sender",
        short="letter",
        goal="find the hand that had written it",
        clue="However often {they} read it, the ink was still wet.",
        truth="The hand was {their} own, older and a little unsteady, and all it had wanted to say was: go.",
        answer="{name} folded the letter, took a fresh sheet, and wrote one just like it.",
        ending="Somewhere, years ahead or years behind, it is being opened now.",
    ),
    Quest(
        sign="a small blue door where the day before there had been only stone",
        short="blue door",
        goal="open it",
        clue="It had no handle, and it was warm to the touch.",
        truth="It had never been locked: it opened to anyone who said aloud what they missed.",
        answer="{name} said it, very quietly, and the door swung wide.",
        ending="Nobody else ever found the door, but more people began to say what they missed.",
    ),
    Quest(
        sign="a silver key on the doorstep, cold as frost",
        short="silver key",
        goal="find the lock that it belonged to",
        clue="It turned in the palm of {their} hand like the needle of a compass.",
        truth="The lock was on a music box, and the tune in it was one that {their} mother used to hum.",
        answer="{name} wound it up and let it play to the end.",
        ending="The key is on the doorstep again, they say, but of another house.",
    ),
    Quest(
        sign="a map on which every road ended in the same white patch",
        short="white map",
        goal="see what lay in the white patch",
        clue="Each morning one more road had faded from the paper.",
        truth="The white patch was not empty: it was the part that nobody had yet taken the trouble to draw.",
        answer="{name} sat down on a stone, found a pencil, and began.",
        ending="The map is full of roads now, and one of them has {their} name.",
    ),
    Quest(
        sign="a star that had come down so low that it cast shadows",
        short="low star",
        goal="help it home",
        clue="It hummed very softly, like somebody trying not to cry.",
        truth="It had not fallen at all: it had come to see who looked up at it every night.",
        answer="{name} told it everything, and it listened until it was pale.",
        ending="It is back in its place now, a little brighter than the rest; {name} waves to it.",
    ),
    Quest(
        sign="a song that came from nowhere and broke off in the middle",
        short="half song",
        goal="find its other half",
        clue="Nobody else could hear it, though everybody walked in time with it.",
        truth="The other half had been in {their} own head since childhood; it had only needed somebody to start.",
        answer="{name} took a breath and sang the two halves together.",
        ending="Children sing it there now, and think that it is as old as the hills.",
    ),
    Quest(
        sign="a line of small footprints that began in the middle of nothing",
        short="footprints",
        goal="follow them to their end",
        clue="They were a child's, and no wind could blur them.",
        truth="At the end of the footprints stood the child that {name} had once been, waiting to be fetched.",
        answer="{name} held out a hand, and it was taken.",
        ending="On the way home there was one line of footprints, deeper than before.",
    ),
    Quest(
        sign="a clock that had begun to run backwards",
        short="backward clock",
        goal="set it right before it ran out of yesterdays",
        clue="At each full hour something that had been mended was broken again.",
        truth="Somebody had wound it the wrong way on purpose, to have one good day a second time.",
        answer="{name} let it have its day, all of it, and then turned the key the other way.",
        ending="The clock keeps time again; once a year it is allowed to be slow.",
    ),
    Quest(
        sign="a seed that glowed in the dark like an ember",
        short="glowing seed",
        goal="find the one place where it would grow",
        clue="It was warmest when it was held by somebody who was sad.",
        truth="It grew in no soil at all: it grew where it was given away.",
        answer="{name} put it into the hand of the first stranger and closed their fingers over it.",
        ending="In the spring there were lights in every window.",
    ),
    Quest(
        sign="a ladder of rope that hung down from a cloud",
        short="rope ladder",
        goal="climb it to the top",
        clue="It was made of many kinds of rope, and some of it was plaited hair.",
        truth="Those who had climbed before had each added a piece, so that the next one could start from lower down.",
        answer="{name} tied on a piece of {their} own and climbed back down.",
        ending="It reaches the ground now, and it is never empty.",
    ),
)
