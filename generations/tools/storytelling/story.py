"""Telling a story: reading the theme, choosing the beats, and putting words to them."""

import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .beats import BEATS, SIGNS, TELLINGS, Beat, Telling
from .people import BEINGS, FRIENDS, HER_NAMES, HERS, HIS, HIS_NAMES, NOT_BEINGS, OCCUPATION_ENDINGS
from .quests import QUESTS, Quest
from .words import HOURS, LANDMARKS, PLACES, WATCHES, WEATHERS, Place

MAX_ROLE_WORDS = 5
LANDMARK_ODDS = 0.65


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    title: str
    text: str
    mood: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    title: str
    hero: str
    scenes: tuple[Scene, ...]


@dataclass(frozen=True)
class Hero:
    """Who the story is about. `role` is what they are, like `lighthouse keeper`; empty when the theme gave a name."""

    name: str
    role: str
    they: str
    them: str
    their: str

    @property
    def introduced(self) -> str:
        """Return the hero as a first sentence names them."""
        return f"{self.name}, the {self.role}," if self.role else self.name


def tell(*, theme: str, count: int, seed: int) -> Story:
    """Return a story of `count` scenes about a theme. The same arguments tell the same story."""
    theme = _cleaned(theme)
    draw = random.Random(f"{seed}\n{theme.casefold()}")  # noqa: S311 - a story is no secret
    words = re.findall(r"[a-z]+", theme.lower())
    place_key = _place_of(words, draw)
    hero = _hero_of(theme, PLACES[place_key], draw)
    quest = draw.choice(QUESTS)
    landmarks = [spot for word, spots in LANDMARKS.items() if word in theme.lower() for spot in spots]
    teller = _Teller(
        hero=hero, quest=quest, place=PLACES[place_key], landmarks=landmarks, in_space=place_key == "space", beats=_beats(count), draw=draw
    )
    scenes = [teller.scene(beat) for beat in teller.beats]
    scenes[0] = replace(scenes[0], text=f"{_announced(theme, hero, draw)} {scenes[0].text}")
    return Story(title=_title(hero, quest, draw), hero=hero.introduced.rstrip(","), scenes=tuple(scenes))


_REQUEST = re.compile(r"(?i)^\s*(?:please\s+)?(?:write|tell)\s+(?:me\s+)?(?:a\s+)?(?:short\s+)?(?:story|tale)\s+(?:about|of)\s+")


def _cleaned(theme: str) -> str:
    """Return the theme as it can stand in a sentence: one line of printable text, without braces or end marks."""
    printable = "".join(letter if letter.isprintable() else " " for letter in theme)
    one_line = " ".join(_REQUEST.sub("", printable).replace("{", "(").replace("}", ")").split())
    return one_line.rstrip(" .!?:;,\u2026") or "a long way home"


def _place_of(words: Sequence[str], draw: random.Random) -> str:
    usual = draw.choice(["sea", "mountains", "forest", "hills", "city"])
    counts = {key: sum(word in place.cues for word in words) for key, place in PLACES.items()}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else usual


def _hero_of(theme: str, place: Place, draw: random.Random) -> Hero:
    role = _role_in(theme)
    named = role is None and _is_name(theme)
    role = "" if named else role or draw.choice(place.roles)
    kinds = set(role.lower().split())
    hers = draw.choice([True, False])
    if kinds & HERS:
        hers = True
    elif kinds & HIS:
        hers = False
    name = theme if named else draw.choice(HER_NAMES if hers else HIS_NAMES)
    pronouns = ("they", "them", "their") if named else ("she", "her", "her") if hers else ("he", "him", "his")
    return Hero(name, role, *pronouns)


_END_OF_ROLE = re.compile(
    r"(?i)\s+(?:who|whose|that|which|and|with|without|in|on|at|by|from|for|of|to|is|was|has|lost|under|near|finds)\s.*$|,.*$"
)


def _role_in(theme: str) -> str | None:
    """Return who the theme is about, like `lighthouse keeper`, if it is about anybody."""
    head = _END_OF_ROLE.sub("", theme)
    article = re.match(r"(?i)(?:a|an|the|my|our|one|some|little)\s+(?=\S)", head)
    role = head[article.end() :] if article else head
    words = role.split()
    if not 0 < len(words) <= MAX_ROLE_WORDS or not re.fullmatch(r"[^\W\d_][\w' -]*", role):
        return None
    last = words[-1].lower()
    known = last in BEINGS or (last.endswith(OCCUPATION_ENDINGS) and len(last) > len("over") and last not in NOT_BEINGS)
    if not known or (not article and role[0].isupper() and last not in BEINGS and len(words) == 1):
        return None
    return role if article or role.islower() or last in BEINGS else role.lower()


def _is_name(theme: str) -> bool:
    words = theme.split()
    return len(words) <= 3 and all(word[:1].isupper() and word.isalpha() for word in words)  # noqa: PLR2004 - Anna Maria Berg


def _beats(count: int) -> list[Beat]:
    """Return the beats of a story of that length: the most needed ones in their order, the road as long as it must be."""
    needed = sorted((beat for beat in BEATS if beat.weight), key=lambda beat: -beat.weight)[:count]
    spare = count - len(needed)
    return [beat for beat in BEATS for _ in range(spare if beat.key == "road" else beat in needed)]


@dataclass
class _Teller:
    """Tells scene after scene, never the same one twice, and keeps track of time, weather and company."""

    hero: Hero
    quest: Quest
    place: Place
    landmarks: list[str]
    in_space: bool
    beats: list[Beat]
    draw: random.Random
    friend: tuple[str, str] | None = None
    used: set[Telling] = field(default_factory=set)
    hour: int = 0
    last_spot: str = ""
    first_spot: str = ""

    def __post_init__(self) -> None:
        self.hour = self.draw.randrange(len(HOURS))

    def scene(self, beat: Beat) -> Scene:
        if beat.key == "friend":
            self.friend = self.draw.choice(FRIENDS)
        title, pattern = self._telling(beat)
        told = _filled(f"{pattern}{self._what_is_missing(beat)}", self._words(beat))
        return Scene(title=title, text=f"{self._opening(beat)} {told}", mood=beat.mood)

    def _what_is_missing(self, beat: Beat) -> str:
        """Return what a scene tells besides its own, because the story is too short for a scene about it."""
        told = {each.key for each in self.beats}
        more = ""
        if beat.key == "opening" and "sign" not in told:
            more += f" {self.draw.choice(SIGNS)}"
        if beat is self.beats[-1] and "truth" not in told:
            more += " {truth} {answer}"
        if beat is self.beats[-1] and "ending" not in told:
            more += " {ending}"
        return more

    def _telling(self, beat: Beat) -> Telling:
        possible = [telling for telling in TELLINGS[beat.key] if self.friend or "{friend}" not in telling[1]]
        fresh = [telling for telling in possible if telling not in self.used]
        chosen = self.draw.choice(fresh or possible)
        self.used.add(chosen)
        return chosen

    def _opening(self, beat: Beat) -> str:
        """Return the opening words: the hour moves on, and the weather is as settled as the beat."""
        self.hour = (self.hour + self.draw.choice([1, 1, 2, 3])) % 4
        when = self.draw.choice(list((WATCHES if self.in_space else HOURS).values())[self.hour])
        skies = self.place.weathers
        rough = round((1 - beat.calm) * (len(skies) - 1) + self.draw.uniform(-0.7, 0.7))
        weather = self.draw.choice(WEATHERS[skies[min(max(rough, 0), len(skies) - 1)]])
        return f"{when}, {weather}," if weather else f"{when},"

    def _spot(self, beat: Beat) -> str:
        """Return where a scene stands: near home at both ends of the story, by the theme's landmark more often than not."""
        if beat.key == "ending" and self.first_spot:
            return self.first_spot
        at_home = beat.key in ("opening", "doubt", "return")
        spots = self.place.spots[:3] if at_home else self.place.spots
        if self.landmarks and self.draw.random() < LANDMARK_ODDS:
            spots = tuple(self.landmarks)
        spot = self.draw.choice([spot for spot in spots if spot != self.last_spot])
        self.first_spot = self.first_spot or spot
        self.last_spot = spot
        return spot

    def _words(self, beat: Beat) -> dict[str, str]:
        hero, quest = self.hero, self.quest
        words = {"name": hero.name, "they": hero.they, "them": hero.them, "their": hero.their}
        words |= {"They": hero.they.capitalize(), "Their": hero.their.capitalize(), "who": hero.introduced}
        words |= {name: _filled(getattr(quest, name), words) for name in ("sign", "goal", "clue", "truth", "answer", "ending")}
        words |= {"short": quest.short, "spot": self._spot(beat), "home": self.place.home}
        if self.friend:
            words |= {"a_friend": self.friend[0], "friend": self.friend[1]}
        return words


def _filled(pattern: str, words: dict[str, str]) -> str:
    return string.Formatter().vformat(pattern, (), words)


def _announced(theme: str, hero: Hero, draw: random.Random) -> str:
    """Return the sentence with which a story says what it is about."""
    subject = theme
    if hero.role and theme.lower().endswith(hero.role.lower()) and theme.lower() == hero.role.lower():
        subject = f"{'an' if theme[0].lower() in 'aeiou' else 'a'} {theme}"
    elif theme.split(maxsplit=1)[0].lower() in ("a", "an", "the", "my", "our"):
        subject = theme[0].lower() + theme[1:]
    return draw.choice(
        (
            f"This is the story of {subject}.",
            f"They still tell the story of {subject}.",
            f"There are many stories of {subject}; this one is true.",
            f"Every story has to begin somewhere, and the one of {subject} began like this.",
        )
    )


def _title(hero: Hero, quest: Quest, draw: random.Random) -> str:
    short = string.capwords(quest.short)
    titles = [f"{hero.name} and the {short}", f"The {short}"]
    if hero.role:
        titles += [f"The {string.capwords(hero.role)} and the {short}", f"The {string.capwords(hero.role)}\u2019s {short}"]
    return draw.choice(titles)
