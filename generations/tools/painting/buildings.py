"""Buildings: a lighthouse and its beam, a cottage, a castle, a viaduct. Each is drawn around its foot."""

import numpy as np

from . import noise
from .canvas import Array, Canvas, Point, box, mix, placed, rgb, smoothstep
from .palettes import Palette
from .sky import Light

_LIGHTHOUSE_RED = rgb("c93a2c")
# In heights of the tower: half its width below and at the gallery, the gallery's height, that of the lantern's roof.
_BASE, _NECK, _DECK, _EAVES = 0.105, 0.062, 0.78, 0.9


def paint_lighthouse(
    canvas: Canvas, *, foot: Point, height: float, palette: Palette, light: Light, lit: float, rng: np.random.Generator
) -> None:
    """Paint a banded tower with gallery, lantern and dome; `lit` is how strong its beam shines."""
    lamp = (foot[0], foot[1] - height * (_DECK + _EAVES) / 2)
    _paint_tower(canvas, foot=foot, height=height, palette=palette, light=light)
    _paint_lantern_room(canvas, foot=foot, height=height, palette=palette)
    _shine_beam(canvas, lamp, palette=palette, lit=lit, rng=rng)


def _paint_tower(canvas: Canvas, *, foot: Point, height: float, palette: Palette, light: Light) -> None:
    def ring(low: float, high: float) -> list[Point]:
        left = [(-_half_width(low), -low), (-_half_width(high), -high)]
        return placed([*left, *((-x, y) for x, y in reversed(left))], foot=foot, size=height)

    away = 1 if light.place[0] < foot[0] else -1
    shade: Array = np.clip(0.5 + (canvas.x - foot[0]) / (2 * _BASE * height) * away, 0, 1) * np.ones_like(canvas.y)
    dark = mix(palette.near, palette.middle, 0.25)
    white = mix(palette.light, palette.middle, 0.42 if palette.is_dark else 0.22)
    red = mix(_LIGHTHOUSE_RED, palette.middle, 0.3 if palette.is_dark else 0.12)
    canvas.paint(canvas.shapes(polygons=[ring(-0.03, _DECK)]), mix(white, dark, smoothstep(0.25, 1.05, shade)))
    bands = [ring(low, low + 0.13) for low in (0.08, 0.36, 0.64)]
    canvas.paint(canvas.shapes(polygons=bands), mix(red, dark, smoothstep(0.3, 1.1, shade) * 0.85))
    windows = [box((foot[0], foot[1] - height * part), 0.01 * height, 0.022 * height) for part in (0.27, 0.55)]
    canvas.paint(canvas.shapes(polygons=windows), mix(palette.accent, palette.light, 0.5) if palette.is_dark else dark)


def _half_width(part: float) -> float:
    return _BASE + (_NECK - _BASE) * part / _DECK


def _paint_lantern_room(canvas: Canvas, *, foot: Point, height: float, palette: Palette) -> None:
    middle = (_DECK + _EAVES) / 2
    glass = placed(box((0, -middle), _NECK * 0.68, (_EAVES - _DECK) / 2), foot=foot, size=height)
    canvas.paint(canvas.shapes(polygons=[glass]), mix(palette.accent, palette.light, 0.75))
    half_roof = [(-_NECK * 0.95, -_EAVES), (-_NECK * 0.55, -_EAVES - 0.05)]
    iron = [
        box((0, -_DECK), _NECK * 1.5, 0.012),
        box((0, -_DECK - 0.035), _NECK * 1.42, 0.003),
        [*half_roof, (0, -_EAVES - 0.075), *((-x, y) for x, y in reversed(half_roof))],
    ]
    bars = [([(_NECK * part, -_DECK), (_NECK * part, -_DECK - 0.035)], 0.004) for part in (-1.4, -0.7, 0.7, 1.4)]
    bars += [([(_NECK * part, -_DECK), (_NECK * part, -_EAVES)], 0.005) for part in (-0.68, -0.25, 0.25, 0.68)]
    bars.append(([(0, -_EAVES - 0.07), (0, -_EAVES - 0.115)], 0.006))
    mask = canvas.shapes(
        polygons=[placed(shape, foot=foot, size=height) for shape in iron],
        lines=[(placed(points, foot=foot, size=height), width * height) for points, width in bars],
    )
    canvas.paint(mask, mix(palette.near, palette.accent, 0.12))


def _shine_beam(canvas: Canvas, lamp: Point, *, palette: Palette, lit: float, rng: np.random.Generator) -> None:
    warm = mix(palette.light, palette.accent, 0.35)
    canvas.shine(canvas.halo(lamp, 0.035) * (0.4 + 0.6 * lit), palette.light)
    canvas.shine(canvas.halo(lamp, 0.12) * 0.55 * lit, warm)
    aim = rng.uniform(-0.16, 0.02)
    dust = noise.plane(rng, canvas, across=6, down=6, octaves=4)
    for direction in (1, -1):
        along = (canvas.x - lamp[0]) * np.cos(aim) * direction + (canvas.y - lamp[1]) * np.sin(aim)
        across = (canvas.y - lamp[1]) * np.cos(aim) - (canvas.x - lamp[0]) * np.sin(aim) * direction
        width = 0.012 + 0.11 * np.maximum(along, 0)
        cone = np.exp(-((across / width) ** 2)) * np.exp(-np.maximum(along, 0) / 0.75) * smoothstep(-0.004, 0.03, along)
        canvas.shine(cone * (0.65 + 0.5 * dust) * 0.72 * lit, warm)


def paint_cottage(canvas: Canvas, *, foot: Point, size: float, palette: Palette, rng: np.random.Generator) -> None:
    """Paint a cottage with lit windows and smoke from its chimney."""
    drift = rng.uniform(0.4, 1.1) * noise.side(rng)
    puffs = [(0.24 + drift * (part * 0.9) ** 2, -0.95 - part * 1.3, 0.04 + 0.13 * part) for part in np.linspace(0, 1, 14)]
    smoke = canvas.shapes(discs=[(foot[0] + x * size, foot[1] + y * size, radius * size) for x, y, radius in puffs])
    canvas.paint(np.clip(canvas.blurred(smoke, size * 0.12) * 0.38, 0, 1), mix(palette.horizon, palette.light, 0.5))
    panes = [(-0.2, -0.16), (0.24, -0.16)]
    parts = (
        ([box((0.24, -0.79), 0.06, 0.11)], mix(palette.near, palette.accent, 0.18)),
        ([box((0, -0.15), 0.5, 0.21)], mix(palette.near, palette.horizon, 0.2 if palette.is_dark else 0.72)),
        ([[(-0.6, -0.34), (-0.36, -0.72), (0.36, -0.72), (0.6, -0.34)]], mix(palette.near, palette.accent, 0.22)),
        ([box((0.02, -0.08), 0.07, 0.14)], palette.near),
        ([box(pane, 0.09, 0.09) for pane in panes], mix(palette.accent, palette.light, 0.55)),
    )
    for shapes, colour in parts:
        canvas.paint(canvas.shapes(polygons=[placed(shape, foot=foot, size=size) for shape in shapes]), colour)
    for centre in placed(panes, foot=foot, size=size):
        canvas.shine(canvas.halo(centre, size * 0.35) * (0.5 if palette.is_dark else 0.15), palette.accent)


# A castle's towers: where, how wide and how tall, in castle widths.
_TOWERS = ((-0.46, 0.15, 0.4), (-0.2, 0.12, 0.62), (0.03, 0.19, 0.8), (0.27, 0.11, 0.52), (0.46, 0.16, 0.38))


def paint_castle(canvas: Canvas, *, foot: Point, size: float, palette: Palette, distance: float, rng: np.random.Generator) -> None:
    """Paint a castle with battlements and pointed towers, some windows lit."""
    shapes = [box((0, -0.08), 0.5, 0.14), *(box((part, -0.235), 0.028, 0.03) for part in np.arange(-0.47, 0.5, 0.094))]
    windows: list[list[Point]] = []
    for centre, wide, usual in _TOWERS:
        tall = usual * rng.uniform(0.9, 1.1)
        shapes.append(box((centre, (0.06 - tall) / 2), wide / 2, (tall + 0.06) / 2))
        shapes.append([(centre - wide * 0.68, -tall + 0.01), (centre, -tall - (0.12 + wide) * 0.95), (centre + wide * 0.68, -tall + 0.01)])
        for below in (0.07, 0.2):
            shift = rng.uniform(-0.12, 0.12) * wide
            if rng.random() < 0.8:
                windows.append(box((centre + shift, below - tall), 0.008, 0.018))
    stone = canvas.shapes(polygons=[placed(shape, foot=foot, size=size) for shape in shapes])
    canvas.paint(stone, mix(palette.at(distance), palette.near, 0.3))
    glow = canvas.shapes(polygons=[placed(shape, foot=foot, size=size) for shape in windows])
    canvas.paint(glow, mix(palette.accent, palette.light, 0.5))
    canvas.shine(canvas.blurred(glow, 0.012) * 0.9, palette.accent)


def paint_viaduct(canvas: Canvas, *, level: float, palette: Palette, distance: float, rng: np.random.Generator) -> None:
    """Paint a bridge of arches across the picture, with a lit train on it."""
    deck, spans = level - 0.17, int(rng.integers(7, 10))
    wide = canvas.aspect / spans
    mask = canvas.shapes(polygons=[box((canvas.aspect / 2, (deck + level + 0.1) / 2), canvas.aspect, (level + 0.1 - deck) / 2)])
    arches = [((index + 0.5) * wide, deck + 0.03 + wide * 0.38) for index in range(spans)]
    holes = [box((x, (y + level + 0.12) / 2), wide * 0.38, (level + 0.12 - y) / 2) for x, y in arches]
    mask *= 1 - canvas.shapes(polygons=holes, discs=[(x, y, wide * 0.38) for x, y in arches])
    colour = mix(palette.at(distance), palette.near, 0.25)
    canvas.paint(mask, mix(colour, palette.horizon, smoothstep(deck, level + 0.08, canvas.y) * 0.6 * np.ones_like(canvas.x)))
    start = rng.uniform(0.2, 0.45) * canvas.aspect
    cars = [box((start + index * 0.062, deck - 0.0155), 0.029, 0.0135) for index in range(6)]
    canvas.paint(canvas.shapes(polygons=cars), palette.near)
    panes = [
        box((start + index * 0.062 + shift, deck - 0.018), 0.0036, 0.0048) for index in range(6) for shift in (-0.018, -0.006, 0.006, 0.018)
    ]
    glow = canvas.shapes(polygons=panes)
    canvas.paint(glow, mix(palette.accent, palette.light, 0.6))
    canvas.shine(canvas.blurred(glow, 0.012), palette.accent)
