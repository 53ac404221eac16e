"""A city: ranks of buildings with lit windows."""

import numpy as np

from .canvas import Canvas, Point, mix, smoothstep
from .land import paint_haze
from .palettes import Palette


def paint_city(canvas: Canvas, *, palette: Palette, level: float, rng: np.random.Generator) -> None:
    """Paint a skyline down to `level`, the near ranks higher and darker."""
    ranks = 4
    for rank in range(ranks):
        nearness = rank / (ranks - 1)
        distance = 0.8 * (1 - nearness) ** 1.2
        buildings = _rank(canvas, level=level, nearness=nearness, rng=rng)
        mask = canvas.shapes(polygons=[shape for shape, _ in buildings])
        colour = mix(palette.at(distance), palette.near, 0.12)
        foot = smoothstep(level - 0.3, level, canvas.y) * (0.5 * (1 - nearness)) * np.ones_like(canvas.x)
        canvas.paint(mask, mix(colour, mix(palette.horizon, palette.middle, 0.3), foot))
        share = (0.34 if palette.is_dark else 0.1) * (0.35 + 0.65 * nearness)
        panes: list[list[Point]] = []
        for _, box in buildings:
            panes += _windows(box, size=0.0042 + 0.0042 * nearness, share=share, rng=rng)
        glow = canvas.shapes(polygons=panes)
        canvas.paint(glow * (0.5 + 0.45 * nearness), mix(palette.accent, palette.light, 0.4))
        if palette.is_dark:
            canvas.shine(canvas.blurred(glow, 0.02) * 0.5, palette.accent)
        if rank < ranks - 1:
            paint_haze(canvas, palette=palette, level=level - 0.03, depth=0.06, strength=0.4 * (1 - nearness), rng=rng)


def _rank(
    canvas: Canvas, *, level: float, nearness: float, rng: np.random.Generator
) -> list[tuple[list[Point], tuple[float, float, float, float]]]:
    """Return the outlines of one rank of buildings, and the box in which each has windows."""
    buildings = []
    x = -0.05
    while x < canvas.aspect + 0.05:
        wide = rng.uniform(0.035, 0.085) * (0.75 + 0.6 * nearness)
        middle = np.exp(-(((x + wide / 2) / canvas.aspect - 0.5) ** 2) / 0.12)
        tall = (0.06 + (0.34 - 0.12 * nearness) * rng.random() ** 1.6 * middle) * (1.12 - 0.32 * nearness) + 0.05
        top = level - tall
        buildings.append((_outline(x, wide, top, level, rng=rng), (x, top, x + wide, level)))
        x += wide * rng.uniform(0.92, 1.25)
    return buildings


def _outline(x: float, wide: float, top: float, foot: float, *, rng: np.random.Generator) -> list[Point]:
    """Return one building: flat, stepped, slanted or with a spire."""
    right, middle, rise = x + wide, x + wide / 2, wide * rng.uniform(0.25, 0.7)
    crowns: list[list[Point]] = [
        [(x, top), (right, top)],
        [
            (x, top),
            (x + wide * 0.22, top),
            (x + wide * 0.22, top - rise * 0.5),
            (right - wide * 0.22, top - rise * 0.5),
            (right - wide * 0.22, top),
            (right, top),
        ],
        [(x, top), (right, top - rise * 0.6)],
        [
            (x, top),
            (middle - wide * 0.06, top - rise * 0.5),
            (middle, top - rise * 2.2),
            (middle + wide * 0.06, top - rise * 0.5),
            (right, top),
        ],
    ]
    crown = crowns[int(rng.choice(4, p=[0.46, 0.26, 0.14, 0.14]))]
    return [(x, foot + 0.02), *crown, (right, foot + 0.02)]


def _windows(box: tuple[float, float, float, float], *, size: float, share: float, rng: np.random.Generator) -> list[list[Point]]:
    left, top, right, foot = box
    columns = max(1, int((right - left) / (size * 2.1)))
    rows = max(1, int((foot - top) / (size * 2.5)))
    step = (right - left) / columns
    lit = rng.random((rows, columns)) < share * rng.uniform(0.3, 1.5)
    panes = []
    for row, column in zip(*np.nonzero(lit), strict=True):
        x, y = left + (column + 0.5) * step, top + (row + 0.8) * size * 2.5
        panes.append(
            [
                (x - size * 0.42, y - size * 0.55),
                (x + size * 0.42, y - size * 0.55),
                (x + size * 0.42, y + size * 0.55),
                (x - size * 0.42, y + size * 0.55),
            ]
        )
    return panes
