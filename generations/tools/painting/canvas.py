"""A canvas: an array of pixels, and what a painter does to it.

Lengths are in picture heights: x runs from 0 to `aspect`, y from 0 at the top to 1. Masks are arrays of 0 to 1, one
number a pixel; colours are three numbers of 0 to 1.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Array: TypeAlias = npt.NDArray[np.floating[Any]]
Point: TypeAlias = tuple[float, float]

# Shapes are drawn this many times larger and averaged down: smooth edges.
SUPERSAMPLING = 3


def rgb(hexadecimal: str) -> Array:
    """Return the colour that six hexadecimal digits name."""
    return np.array([int(hexadecimal[place : place + 2], 16) / 255 for place in (0, 2, 4)], dtype=np.float32)


def mix(first: Array, second: Array, amount: "float | Array") -> Array:
    """Return `first` with `amount` (0 to 1) of `second` in it. A mask as amount gives a colour for each pixel."""
    weight: Array = np.asarray(amount, dtype=np.float32)[..., None]
    mixed: Array = first + weight * (second - first)
    return mixed


def smoothstep(start: float, end: float, value: Array) -> Array:
    """Return 0 below `start`, 1 above `end`, and a smooth way between."""
    t: Array = np.clip((value - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def box(centre: Point, half_width: float, half_height: float) -> list[Point]:
    """Return an upright rectangle."""
    x, y = centre
    return [
        (x - half_width, y - half_height),
        (x + half_width, y - half_height),
        (x + half_width, y + half_height),
        (x - half_width, y + half_height),
    ]


def placed(points: Iterable[Point], *, foot: Point, size: float, flip: int = 1) -> list[Point]:
    """Return a shape that was drawn in lengths of its own size around its foot; `flip` of -1 mirrors it."""
    return [(foot[0] + x * size * flip, foot[1] + y * size) for x, y in points]


class Canvas:
    def __init__(self, *, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.aspect = width / height
        self.x: Array = ((np.arange(width, dtype=np.float32) + 0.5) / height)[None, :]
        self.y: Array = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
        self.pixels: Array = np.zeros((height, width, 3), dtype=np.float32)

    def paint(self, mask: Array, colour: Array) -> None:
        """Lay a colour over the picture, as thick as the mask."""
        rows = np.flatnonzero(mask.max(axis=1) > 0.002)
        if not rows.size:
            return
        part = slice(rows[0], rows[-1] + 1)
        thick = mask[part][..., None]
        under = self.pixels[part]
        over = colour[part] if colour.ndim == 3 else colour
        under += thick * (over - under)

    def shine(self, mask: Array, colour: Array) -> None:
        """Add light to the picture, as bright as the mask, without burning out."""
        self.pixels = 1 - (1 - self.pixels) * (1 - mask[..., None] * colour)

    def gradient(self, stops: Sequence[tuple[float, Array]]) -> Array:
        """Return a colour for each pixel from a vertical gradient. `stops` are heights and colours, from the top down."""
        places = [place for place, _ in stops]
        column = np.stack([np.interp(self.y[:, 0], places, [colour[channel] for _, colour in stops]) for channel in range(3)], axis=-1)
        return np.broadcast_to(column[:, None, :].astype(np.float32), self.pixels.shape)

    def below(self, curve: Array) -> Array:
        """Return the mask of what lies under a curve. `curve` has one height for each column."""
        mask: Array = np.clip((self.y - curve[None, :]) * self.height + 0.5, 0, 1)
        return mask

    def disc(self, centre: Point, radius: float) -> Array:
        mask: Array = np.clip((radius - self.distance(centre)) * self.height + 0.5, 0, 1)
        return mask

    def distance(self, point: Point) -> Array:
        """Return how far each pixel is from a point."""
        away: Array = np.hypot(self.x - point[0], self.y - point[1])
        return away

    def halo(self, centre: Point, radius: float) -> Array:
        """Return a soft light around a point that falls to a third at `radius`."""
        light: Array = np.exp(-((self.distance(centre) / radius) ** 2))
        return light

    def shapes(
        self,
        *,
        polygons: Iterable[Sequence[Point]] = (),
        discs: Iterable[tuple[float, float, float]] = (),
        lines: Iterable[tuple[Sequence[Point], float]] = (),
    ) -> Array:
        """Return the mask of polygons, discs (x, y, radius) and lines (points, width), with smooth edges."""
        scale = self.height * SUPERSAMPLING
        sheet = Image.new("L", (self.width * SUPERSAMPLING, scale))
        draw = ImageDraw.Draw(sheet)
        for polygon in polygons:
            draw.polygon([(x * scale, y * scale) for x, y in polygon], fill=255)
        for x, y, radius in discs:
            draw.ellipse([(x - radius) * scale, (y - radius) * scale, (x + radius) * scale, (y + radius) * scale], fill=255)
        for points, width in lines:
            draw.line([(x * scale, y * scale) for x, y in points], fill=255, width=max(1, round(width * scale)), joint="curve")
        return np.asarray(sheet.reduce(SUPERSAMPLING), dtype=np.float32) / 255

    def blurred(self, mask: Array, radius: float) -> Array:
        """Return a mask made soft over `radius`. Works on a small copy: what is soft needs few pixels."""
        shrink = max(1, int(radius * self.height / 3))
        size = (max(1, self.width // shrink), max(1, self.height // shrink))
        small = Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX)
        passes = Image.fromarray(_box_blurred(np.asarray(small)))
        return np.asarray(passes.resize((self.width, self.height), Image.Resampling.BICUBIC))


def _box_blurred(small: Array) -> Array:
    for axis in (0, 1):
        for _ in range(2):
            padded = np.pad(small, [(2, 2) if which == axis else (0, 0) for which in (0, 1)], mode="edge")
            length = small.shape[axis]
            small = np.mean([np.take(padded, range(offset, offset + length), axis=axis) for offset in range(5)], axis=0, dtype=np.float32)
    return small
