"""Things that bring a picture to life: a boat, birds, a tree, somebody, floating lights, a shooting star."""

from collections.abc import Sequence

import numpy as np

from . import noise
from .canvas import Array, Canvas, Point, box, mix, placed
from .palettes import Palette


def paint_boat(canvas: Canvas, *, place: Point, size: float, palette: Palette, rng: np.random.Generator) -> None:
    """Paint a sailing boat, heeling a little, with its mirror in the water."""
    lean = rng.uniform(-0.12, 0.12)
    facing = noise.side(rng)

    def at(points: Sequence[Point], flip: float = 1) -> list[Point]:
        moved = [(x * facing + lean * -y, y) for x, y in points]
        return [(place[0] + x * size, place[1] + y * size * flip) for x, y in moved]

    hull = [(-0.5, -0.1), (0.56, -0.13), (0.36, 0.05), (-0.36, 0.05)]
    main = [(-0.03, -0.96), (-0.05, -0.2), (-0.5, -0.19), (-0.3, -0.55)]
    jib = [(0.02, -0.9), (0.03, -0.2), (0.46, -0.18)]
    mask = canvas.shapes(polygons=[at(hull, -0.7), at(main, -0.7), at(jib, -0.7)])
    canvas.paint(canvas.blurred(mask, 0.006) * 0.45, mix(palette.near, palette.horizon, 0.25))
    canvas.paint(canvas.shapes(polygons=[at(main), at(jib)]), mix(palette.light, palette.horizon, 0.25))
    shadow = [(-0.03, -0.96), (-0.05, -0.2), (-0.22, -0.2)]
    canvas.paint(canvas.shapes(polygons=[at(shadow)]) * 0.35, palette.middle)
    canvas.paint(canvas.shapes(polygons=[at(hull)], lines=[(at([(0, 0), (0, -1.02)]), size * 0.022)]), palette.near)
    canvas.paint(canvas.shapes(polygons=[at([(-0.49, -0.1), (0.55, -0.13), (0.53, -0.1), (-0.48, -0.07)])]), palette.accent)


def paint_birds(canvas: Canvas, *, palette: Palette, horizon: float, rng: np.random.Generator) -> None:
    """Paint a loose flock against the sky."""
    flock = (rng.uniform(0.2, 0.75) * canvas.aspect, rng.uniform(0.2, 0.6) * horizon)
    lines = []
    for _ in range(int(rng.integers(5, 11))):
        x, y = flock[0] + rng.normal(0, 0.11), flock[1] + rng.normal(0, 0.045)
        span, lift = rng.uniform(0.009, 0.02), rng.uniform(0.25, 0.6)
        wing = [(0.0, 0.0), (0.35, -lift), (0.7, -lift * 0.85), (1.0, -lift * 0.3)]
        lines += [(placed(wing, foot=(x, y), size=span, flip=side), span * 0.13) for side in (-1, 1)]
    canvas.paint(canvas.shapes(lines=lines) * 0.85, mix(palette.near, palette.zenith, 0.2))


def paint_tree(canvas: Canvas, *, foot: Point, size: float, palette: Palette, leafy: Array | None, rng: np.random.Generator) -> None:
    """Paint a great tree by branching; `leafy` is the colour of its leaves, None for a bare one."""
    lines: list[tuple[list[Point], float]] = []
    tips: list[Point] = []
    stack = [(foot, -np.pi / 2 + rng.uniform(-0.08, 0.08), size * 0.3, size * 0.05, 0)]
    while stack:
        (x, y), angle, length, width, depth = stack.pop()
        bend = angle + rng.normal(0, 0.09)
        middle = (x + np.cos(angle) * length * 0.5, y + np.sin(angle) * length * 0.5)
        end = (middle[0] + np.cos(bend) * length * 0.5, middle[1] + np.sin(bend) * length * 0.5)
        lines.append(([(x, y), middle, end], width))
        if depth >= 3:
            tips += [middle, end]
        if depth < 7:
            for side in (-1, 1, 0)[: 3 if depth in (1, 3) else 2]:
                turn = side * rng.uniform(0.28, 0.62) + rng.normal(0, 0.08)
                stack.append((end, bend + turn, length * rng.uniform(0.68, 0.84), width * 0.66, depth + 1))
    dark = mix(palette.near, palette.middle, 0.06)
    canvas.paint(canvas.shapes(lines=lines), dark)
    if leafy is None:
        return
    for tone, share, lift in ((0.6, 0.95, 0.02), (0.3, 0.9, 0.008), (0.0, 0.7, -0.006), (-0.18, 0.4, -0.016)):
        chosen = [tip for tip in tips if rng.random() < share]
        discs = [
            (x + rng.normal(0, 0.016) * size, y + (lift + rng.normal(0, 0.016)) * size, size * rng.uniform(0.006, 0.021)) for x, y in chosen
        ]
        colour = mix(leafy, palette.near, tone) if tone >= 0 else mix(leafy, palette.light, -tone)
        canvas.paint(canvas.shapes(discs=discs) * 0.9, colour)


def paint_figure(canvas: Canvas, *, foot: Point, size: float, palette: Palette, lantern: bool, rng: np.random.Generator) -> None:
    """Paint somebody in a cloak, from behind, perhaps with a lantern."""
    x, y = foot
    facing = noise.side(rng)
    cloak = [
        (-0.17, 0.02),
        (-0.13, -0.42),
        (-0.09, -0.68),
        (0, -0.76),
        (0.09, -0.68),
        (0.14, -0.42),
        (0.21, 0.02),
        (0.08, 0.05),
        (-0.06, 0.04),
    ]
    scarf = [(0.0, -0.74), (0.1, -0.71), (0.34, -0.64), (0.31, -0.57), (0.08, -0.65)]

    def at(points: Sequence[Point]) -> list[Point]:
        return placed(points, foot=foot, size=size, flip=facing)

    arm = (at([(-0.07, -0.6), (-0.25, -0.4)]), size * 0.07)
    mask = canvas.shapes(polygons=[at(cloak)], discs=[(x, y - 0.86 * size, 0.105 * size)], lines=[arm] if lantern else [])
    canvas.paint(mask, mix(palette.near, palette.zenith, 0.08))
    canvas.paint(canvas.shapes(polygons=[at(scarf)]), palette.accent)
    if lantern:
        lamp = (x - 0.27 * size * facing, y - 0.32 * size)
        canvas.paint(canvas.shapes(polygons=[box(lamp, 0.035 * size, 0.055 * size)]), palette.light)
        canvas.shine(canvas.halo(lamp, size * 0.16) * 0.8, mix(palette.accent, palette.light, 0.4))
        canvas.shine(canvas.halo(lamp, size * 0.9) * 0.3, palette.accent)


def paint_lanterns(canvas: Canvas, *, palette: Palette, top: float, bottom: float, rng: np.random.Generator) -> None:
    """Let small warm lights float through the air."""
    count = 34
    places = rng.random((count, 3)) * [canvas.aspect, bottom - top, 1] + [0, top, 0]
    warm = mix(palette.accent, palette.light, 0.45)
    mask = canvas.shapes(discs=[(x, y, 0.0022 + 0.005 * near**3) for x, y, near in places])
    canvas.shine(np.clip(canvas.blurred(mask, 0.02) * 2.4 + canvas.blurred(mask, 0.007) * 1.4, 0, 1) * 0.8, palette.accent)
    canvas.shine(mask, warm)


def paint_meteor(canvas: Canvas, *, palette: Palette, horizon: float, rng: np.random.Generator) -> None:
    """Draw a shooting star across the upper sky."""
    head = (rng.uniform(0.25, 0.75) * canvas.aspect, rng.uniform(0.2, 0.45) * horizon)
    angle = rng.uniform(0.3, 0.7)
    back = (canvas.x - head[0]) * np.cos(angle) - (canvas.y - head[1]) * np.sin(angle)
    across = (canvas.x - head[0]) * np.sin(angle) + (canvas.y - head[1]) * np.cos(angle)
    tail = (
        np.exp(-((across / (0.0035 * np.exp(-np.maximum(back, 0) / 0.3) + 0.0006)) ** 2)) * np.exp(-np.maximum(back, 0) / 0.17) * (back > 0)
    )
    canvas.shine(tail * 0.95, palette.light)
    canvas.shine(canvas.halo(head, 0.014), palette.light)
