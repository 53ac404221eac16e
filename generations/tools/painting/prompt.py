"""What a prompt asks for: hour, weather, place and the things that stand in the picture."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_HOURS: Mapping[str, str] = {
    "dawn": "dawn sunrise morning daybreak awakes wakes early rooster breakfast spring first",
    "day": "day noon midday afternoon sunny sunlight summer bright daylight blue",
    "dusk": "dusk sunset evening twilight sundown golden autumn last farewell amber red",
    "night": "night midnight moon moonlight moonlit stars star starlight starry dark darkness lantern lanterns lamp dream dreams sleep owl beam",
}
_WEATHERS: Mapping[str, str] = {
    "storm": "storm storms stormy thunder lightning tempest gale hurricane wild raging fury",
    "rain": "rain rains rainy drizzle wet downpour puddle puddles umbrella",
    "snow": "snow snowy snows winter blizzard frozen ice icy glacier arctic",
    "fog": "fog foggy mist misty haze smoke ghost ghosts grey gray silence silent",
    "cloud": "cloud clouds cloudy overcast wind windy",
    "clear": "clear calm still quiet peaceful gentle sunny summer bright warm blue noon starry stars moonlit",
}
_PLACES: Mapping[str, str] = {
    "sea": "sea seas ocean lighthouse boat boats ship ships sail sails sailor wave waves tide tides shore coast beach harbour harbor "
    "port island islands whale fish fisher fisherman fishing rock rocks cliff cliffs lake river water bay keeper pirate mermaid pier",
    "mountains": "mountain mountains peak peaks summit alp alps hill valley climb climbs climber ridge pass highland goat eagle himalaya",
    "forest": "forest forests wood woods woodland tree trees jungle leaf leaves fox wolf bear deer owl fern moss grove pine pines",
    "desert": "desert deserts dune dunes sand sands camel camels caravan oasis sahara nomad scorched mirage pyramid pyramids",
    "city": "city cities town street streets tower towers skyline roof roofs rooftop market urban neon robot robots station "
    "museum shop clockmaker detective machine machines office traffic tram",
    "hills": "hills meadow meadows field fields farm village garden gardens grass grassland flower flowers shepherd cottage house home "
    "road path windmill orchard prairie sheep castle kingdom",
    "space": "space planet planets galaxy galaxies nebula cosmos cosmic astronaut orbit rocket spaceship starship mars saturn universe "
    "alien aliens comet asteroid constellation constellations",
    "fire": "fire fires flame flames volcano volcanic lava dragon dragons burning burn ember embers inferno forge ash",
}
_THINGS: Mapping[str, str] = {
    "lighthouse": "lighthouse lighthouses beacon",
    "boat": "boat boats ship ships sail sails sailor sailing fisherman fisher fishing pirate voyage captain",
    "birds": "bird birds gull gulls seagull seagulls crow crows raven geese swallow swallows eagle fly flies flying wings",
    "tree": "tree trees oak orchard garden apple willow shade branch branches blossom",
    "house": "house home cottage hut cabin village farm inn hearth window windows door",
    "castle": "castle king queen kingdom knight knights princess prince fortress palace throne tower wizard dragon",
    "figure": "keeper girl boy child children woman man wizard witch knight traveller traveler wanderer shepherd fisherman sailor captain "
    "king queen princess prince pilgrim monk hunter he she her his somebody stranger friend astronaut nomad climber "
    "clockmaker detective gardener baker postman painter musician scientist grandmother grandfather hero heroine",
    "lanterns": "lantern lanterns fireflies firefly spirit spirits festival candle candles wish wishes magic magical glow glowing enchanted",
    "meteor": "meteor comet wish shooting falling prophecy",
    "bridge": "bridge bridges viaduct train railway",
    "magic": "magic magical enchanted spell spells wizard witch fairy dream dreams dragon spirit spirits ghost unicorn",
    "autumn": "autumn fall october november harvest leaves",
    "flow": "abstract flow flowing swirl swirls swirling music melody river dream thought memory wind dance dancing feeling emotion",
    "geometry": "abstract geometry geometric pattern shapes shape cubist bauhaus minimal minimalist modern logo poster grid circle circles square squares cube cubes triangle triangles",
}

_HOUR_ODDS: Mapping[str, float] = {"dusk": 0.36, "night": 0.26, "dawn": 0.2, "day": 0.18}
_WEATHER_ODDS: Mapping[str, float] = {"clear": 0.6, "cloud": 0.25, "fog": 0.15}
_PLACE_ODDS: Mapping[str, float] = {"mountains": 0.26, "hills": 0.2, "sea": 0.2, "forest": 0.18, "desert": 0.08, "city": 0.08}


@dataclass(frozen=True)
class Brief:
    """What to paint. `things` are keys of `_THINGS`; `named` are those of hour, weather and place that the prompt named."""

    hour: str
    weather: str
    place: str
    things: frozenset[str]
    named: frozenset[str]

    @property
    def words(self) -> frozenset[str]:
        return self.things | {self.hour, self.weather, self.place}


def read(prompt: str, rng: np.random.Generator) -> Brief:
    """Return what a prompt asks for. What it leaves open is drawn."""
    words = re.findall(r"[^\W\d_]+", prompt.casefold())[:400]
    hour, weather, place = (_most_named(table, words) for table in (_HOURS, _WEATHERS, _PLACES))
    # Drawn always, so that a word more does not shift all that is drawn later.
    drawn = [_draw(odds, rng) for odds in (_HOUR_ODDS, _WEATHER_ODDS, _PLACE_ODDS)]
    return Brief(
        hour=hour or drawn[0],
        weather=weather or drawn[1],
        place=place or drawn[2],
        things=frozenset(thing for thing, names in _THINGS.items() if not set(words).isdisjoint(names.split())),
        named=frozenset(word for word in (hour, weather, place) if word),
    )


def _most_named(table: Mapping[str, str], words: list[str]) -> str | None:
    counts = {key: sum(word in set(names.split()) for word in words) for key, names in table.items()}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None


def _draw(odds: Mapping[str, float], rng: np.random.Generator) -> str:
    return list(odds)[int(rng.choice(len(odds), p=list(odds.values())))]
