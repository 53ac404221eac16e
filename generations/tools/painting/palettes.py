"""Palettes, and what each of them suits."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .canvas import Array, mix, rgb
from .prompt import Brief


@dataclass(frozen=True)
class Palette:
    """Colours of a picture: the sky from zenith to horizon, its light, the darkest near shapes, an accent.

    `suits` are words of `Brief.words` (hour, weather, place): the palette with most of them is chosen.
    """

    name: str
    colours: str  # zenith, middle, horizon, light, near, accent
    suits: frozenset[str]

    @cached_property
    def _parsed(self) -> list[Array]:
        return [rgb(colour) for colour in self.colours.split()]

    @property
    def zenith(self) -> Array:
        return self._parsed[0]

    @property
    def middle(self) -> Array:
        return self._parsed[1]

    @property
    def horizon(self) -> Array:
        return self._parsed[2]

    @property
    def light(self) -> Array:
        return self._parsed[3]

    @property
    def near(self) -> Array:
        return self._parsed[4]

    @property
    def accent(self) -> Array:
        return self._parsed[5]

    def at(self, distance: float) -> Array:
        """Return the colour of land at a distance: 0 is near and dark, 1 dissolves in the haze of the horizon."""
        return mix(self.near, mix(self.middle, self.horizon, 0.6), distance)

    @property
    def is_dark(self) -> bool:
        return float(self.zenith.mean() + self.horizon.mean()) < 0.75


def _palette(name: str, colours: str, suits: str) -> Palette:
    return Palette(name=name, colours=colours, suits=frozenset(suits.split()))


PALETTES = (
    _palette("rose dawn", "4d6a9a c08aa6 f7c9a9 fff0d0 2b2a45 e0636c", "dawn clear sea hills mountains"),
    _palette("lemon dawn", "5f9ea8 b9cfb4 fbe6b0 fffbe0 24403f e7834f", "dawn clear fog hills forest"),
    _palette("lilac dawn", "6a6fb0 b59ac6 f6cfd2 fff3e6 2d2850 d96c8f", "dawn cloud fog mountains snow"),
    _palette("clear day", "2f7fc1 7dbbe0 d9eef0 fffbe8 1f4a57 e8674a", "day clear cloud sea city mountains"),
    _palette("meadow day", "4aa3c7 a5d5cf eef3d0 fffdea 2d5a3c e9a13b", "day clear cloud hills forest"),
    _palette("chalk day", "7fb0bd bfdad6 f6eedb fffdf4 35545c d9604c", "day fog mountains"),
    _palette("ember dusk", "2c2350 a23e63 f8a15a ffe6a8 1b1230 ff6b3d", "dusk clear fire hills sea"),
    _palette("violet dusk", "221d4f 6b3f8f ee8fa0 ffd9b8 150f33 ffb84d", "dusk clear mountains city"),
    _palette("teal dusk", "123a52 3f8088 f3c584 fff0c2 0b2433 f2704f", "dusk cloud sea forest"),
    _palette("copper dusk", "43313f a75d4b f2b36b ffe9b5 24161f d9402f", "dusk cloud desert city forest autumn"),
    _palette("coral dusk", "2d3b63 b5677f f9b493 fff0d2 1c2340 e8554e", "dusk clear sea hills mountains"),
    _palette("amber dusk", "3a3f5c b98a5e fbd08a fff4d6 22202e d9542f", "dusk clear cloud hills forest city autumn"),
    _palette("steel night", "0c1420 2b4257 7f99a3 f4ecd2 070b12 f2b25a", "night clear cloud sea city mountains hills"),
    _palette("blue night", "070d2b 17306b 5b84b8 f3f1dc 050819 ffc45e", "night clear cloud sea mountains city hills"),
    _palette("green night", "04171f 0d4650 5aa596 e9f5d6 030d14 ffb45a", "night clear cloud forest hills sea magic"),
    _palette("plum night", "120a2e 3b1d5e 9a5a94 ffe3d3 0b0620 ff9e6b", "night cloud city magic"),
    _palette("storm slate", "1d2733 47596a a7b3b4 f4efdc 0f161d f0b84a", "storm rain cloud sea mountains dusk day"),
    _palette("storm bottle", "10211f 35564f a9b79b f6efca 08110f ffbe55", "storm rain cloud sea forest"),
    _palette("storm night", "090d1a 1f2b46 5d7392 e8eef7 04060d ffcf70", "storm rain night sea city"),
    _palette("snow morning", "7fa6c9 bcd3e4 f3e9e6 fffaf0 33465f d4574e", "snow day dawn clear mountains"),
    _palette("snow evening", "33477a 8790bd e8c3cc fff0e0 1d2644 ffb25c", "snow dusk clear forest hills"),
    _palette("snow night", "0b1736 2a4577 8fb0d2 f4f7ff 081024 ffca73", "snow night mountains forest"),
    _palette("dune", "3f7fa0 b9b29a f5d39b fff3cf 6b3422 d6532e", "desert day clear"),
    _palette("red dune", "46315e bb5a55 f7b36a ffedbd 4a1b1f ffd06a", "desert dusk dawn clear"),
    _palette("moon dune", "0c1636 354873 a894a0 fdf3dc 1c1429 f1a54f", "desert night clear"),
    _palette("fire", "1a0a14 6b1720 f2642c ffd873 0d0508 ff9a2e", "fire night dusk storm"),
    _palette("autumn", "6d8a94 d2b98b f6dfae fff6da 43241a d8572a", "autumn day dawn forest hills"),
    _palette("fog", "8a99a0 b8c1c2 dfe0da fbf8ee 2e3a40 c4573f", "fog rain cloud sea city forest"),
    _palette("nebula", "0a0620 3a1663 c24a8f ffe2c4 05030f 59d0e0", "space magic night"),
    _palette("deep space", "03061a 0f3057 2f9c95 fff1c9 02030c ff7a59", "space night clear"),
)


def choose(brief: Brief, rng: np.random.Generator) -> Palette:
    """Return one of the palettes that suit the brief best."""
    fits = {palette: _fit(palette, brief) for palette in PALETTES}
    best = max(fits.values())
    among = [palette for palette, fit in fits.items() if fit >= best - 1.1]
    return among[int(rng.integers(len(among)))]


def _fit(palette: Palette, brief: Brief) -> float:
    weights = {brief.hour: 2.0, brief.weather: 1.5, brief.place: 1.5, "magic": 0.5, "autumn": 2.0}
    # What the prompt says counts more than what was drawn; space and fire look like nothing else.
    weights |= {word: weights[word] + 2.0 for word in brief.named} | {"space": 5.0, "fire": 5.0}
    missed = len((palette.suits & _SPECIAL) - brief.words) + len(({brief.weather} & _SPECIAL) - palette.suits)
    return sum(weights.get(word, 1.0) for word in palette.suits & brief.words) - 2.5 * missed


# A palette of these looks wrong where nothing in the prompt asks for it.
_SPECIAL = frozenset({"storm", "rain", "snow", "desert", "fire", "space", "autumn"})
