"""Pictures of nothing in particular: streams of strokes, and arrangements of shapes."""

import numpy as np

from . import noise
from .canvas import Array, Canvas, Point, mix
from .palettes import Palette


def paint_flow(canvas: Canvas, *, palette: Palette, rng: np.random.Generator) -> None:
    """Cover the canvas with strokes that follow a field, dark ones first, few bright ones last."""
    ground = mix(palette.near, palette.zenith, 0.4) if palette.is_dark else mix(palette.horizon, palette.light, 0.4)
    canvas.pixels = canvas.gradient([(0, ground), (1, mix(ground, palette.near, 0.25))]).copy()
    field = noise.plane(rng, canvas, across=2.2, down=1.6, octaves=3, roughness=0.4)
    whirls = [(rng.uniform(0.1, 0.9) * canvas.aspect, rng.uniform(0.1, 0.9), rng.choice([-1, 1])) for _ in range(3)]
    angle = field * 2.4 * np.pi + rng.uniform(0, 6.3)
    right, down = np.cos(angle), np.sin(angle)
    for x, y, turn in whirls:
        reach = canvas.distance((x, y))
        pull = np.exp(-((reach / 0.26) ** 2)) * 2.5
        # along the circle, and a little inwards
        right = right + pull * (-turn * (canvas.y - y) - 0.25 * (canvas.x - x)) / (reach + 0.01)
        down = down + pull * (turn * (canvas.x - x) - 0.25 * (canvas.y - y)) / (reach + 0.01)
    angle = np.arctan2(down, right)
    colours = [palette.zenith, palette.middle, palette.horizon, palette.accent, palette.light]
    passes = ((420, 34, 0.012, 0.8), (460, 34, 0.009, 0.85), (420, 34, 0.0065, 0.9), (150, 46, 0.005, 0.95), (150, 46, 0.003, 0.95))
    for colour, (count, length, width, strength) in zip(colours, passes, strict=True):
        strokes = _strokes(canvas, angle, count=count, length=length, rng=rng)
        mask = canvas.shapes(lines=[(stroke, width * rng.uniform(0.35, 1.15)) for stroke in strokes])
        shadow = np.roll(mask, max(1, canvas.height // 256), axis=0)
        canvas.paint(shadow * 0.3, palette.near)
        canvas.paint(mask * strength, mix(colour, palette.light, 0.12 * field))


def _strokes(canvas: Canvas, angle: Array, *, count: int, length: int, rng: np.random.Generator) -> list[list[Point]]:
    """Follow the field from random places, all strokes at once."""
    places = rng.random((count, 2)) * [canvas.aspect * 1.1, 1.1] - [canvas.aspect * 0.05, 0.05]
    track = [places]
    for _ in range(length):
        rows = np.clip(places[:, 1] * canvas.height, 0, canvas.height - 1).astype(int)
        columns = np.clip(places[:, 0] * canvas.height, 0, canvas.width - 1).astype(int)
        direction = angle[rows, columns]
        places = places + 0.0085 * np.stack([np.cos(direction), np.sin(direction)], axis=1)
        track.append(places)
    return [[(float(x), float(y)) for x, y in stroke] for stroke in np.stack(track, axis=1)]


def paint_geometry(canvas: Canvas, *, palette: Palette, rng: np.random.Generator) -> None:
    """Fill a grid with quarter discs, rings, bars and dots in few colours, on paper."""
    paper = mix(palette.horizon, palette.light, 0.55)
    colours = [palette.zenith, palette.middle, palette.accent, palette.near, mix(palette.horizon, palette.accent, 0.35)]
    canvas.pixels = canvas.gradient([(0, paper), (1, paper)]).copy()
    rows = int(rng.integers(3, 6))
    cell = 1 / rows
    columns = int(np.ceil(canvas.aspect / cell))
    left = (canvas.aspect - columns * cell) / 2
    for row in range(rows):
        for column in range(columns):
            corner = (left + column * cell, row * cell)
            first, second = (colours[index] for index in rng.choice(len(colours), 2, replace=False))
            _paint_tile(canvas, corner, cell, kind=int(rng.integers(7)), first=first, second=second, paper=paper, rng=rng)
    centre = (rng.uniform(0.25, 0.75) * canvas.aspect, rng.uniform(0.3, 0.7))
    radius = rng.uniform(0.16, 0.3)
    canvas.paint(canvas.disc(centre, radius) * 0.9, palette.accent)
    canvas.paint(canvas.disc((centre[0] + radius * 0.35, centre[1] - radius * 0.3), radius * 0.55) * 0.92, paper)


def _paint_tile(
    canvas: Canvas, corner: Point, cell: float, *, kind: int, first: Array, second: Array, paper: Array, rng: np.random.Generator
) -> None:
    (x, y), middle = corner, (corner[0] + cell / 2, corner[1] + cell / 2)
    inside = ((canvas.x >= x) & (canvas.x < x + cell) & (canvas.y >= y) & (canvas.y < y + cell)).astype(np.float32)
    turned = (x + cell * int(rng.integers(2)), y + cell * int(rng.integers(2)))
    if kind < 5:
        canvas.paint(inside, first if kind % 2 else mix(paper, first, 0.18))
    if kind in (0, 1):
        canvas.paint(inside * canvas.disc(turned, cell), second)
        canvas.paint(inside * canvas.disc(turned, cell * 0.5), paper if kind else first)
    elif kind == 2:
        for part in (0.46, 0.32, 0.18):
            canvas.paint(inside * canvas.disc(middle, cell * part), second if part != 0.32 else paper)
    elif kind == 3:
        canvas.paint(inside * (np.floor((canvas.x + canvas.y - x - y) / (cell / 4)) % 2), second)
    elif kind == 4:
        dots = [(x + cell * (column + 0.5) / 4, y + cell * (row + 0.5) / 4, cell * 0.055) for row in range(4) for column in range(4)]
        canvas.paint(canvas.shapes(discs=dots), second)
    else:
        half = [(x, y), (x + cell, y), (x, y + cell)] if kind == 5 else [(x, y + cell), (x + cell / 2, y), (x + cell, y + cell)]
        canvas.paint(canvas.shapes(polygons=[half]), first)
