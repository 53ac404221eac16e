"""Water: a mirror with ripples, a path of light, and waves in a storm."""

import numpy as np

from . import noise
from .canvas import Array, Canvas, mix, smoothstep
from .palettes import Palette
from .sky import Light


def paint_water(canvas: Canvas, *, palette: Palette, light: Light, level: float, rng: np.random.Generator, calm: float = 0.6) -> None:
    """Turn all below `level` into water that mirrors what is above. `calm` is 0 to 1."""
    depth = np.maximum(canvas.y - level, 0)
    part = np.clip(depth / (1 - level), 0, 1)
    # ripples grow with nearness: across and down, in perspective
    near = 0.15 + part
    ripple = noise.plane(rng, canvas, across=5, down=46, octaves=3, roughness=0.6) - 0.5
    rows_of_water = np.clip(part[:, 0] ** 0.55 * (canvas.height - 1), 0, canvas.height - 1).astype(int)
    ripple = ripple[rows_of_water]
    shift = ripple * near * (0.16 * (1.25 - calm))
    row = ((level - depth * 0.92 + shift) * canvas.height).astype(int)
    top = int(level * canvas.height)
    row = np.clip(row, 0, max(top - 1, 0))
    column = np.clip(np.arange(canvas.width)[None, :] + (shift * 0.3 * canvas.height).astype(int), 0, canvas.width - 1)
    mirrored = canvas.pixels[row, column]
    deep = mix(palette.near, palette.zenith, 0.55)
    body = mix(mirrored, deep, np.clip(0.22 + 0.5 * part + (0.5 - calm) * 0.3 + ripple * 0.5 * near, 0, 1))
    canvas.paint(smoothstep(level - 0.0015, level + 0.0015, canvas.y) * np.ones_like(canvas.x), body)
    _paint_glitter(canvas, palette=palette, light=light, part=part, ripple=ripple, level=level)
    line = np.exp(-(((canvas.y - level) / 0.006) ** 2)) * np.ones_like(canvas.x)
    canvas.paint(line * 0.18, palette.horizon)


def _paint_glitter(canvas: Canvas, *, palette: Palette, light: Light, part: Array, ripple: Array, level: float) -> None:
    """Lay the broken path of light that leads from the light to us."""
    width = 0.035 + 0.16 * part
    path = np.exp(-(((canvas.x - light.place[0]) / width) ** 2)) * (canvas.y > level)
    sparkle = smoothstep(0.02, 0.2, ripple + 0.12 - 0.1 * part)
    canvas.shine(path * sparkle * 0.75 * light.strength * (1 - 0.45 * part), palette.light)


def paint_waves(canvas: Canvas, *, palette: Palette, level: float, rng: np.random.Generator, rough: float) -> None:
    """Paint rolling waves, each rank nearer, higher and darker, with foam on the crests. `rough` is 0 to 1."""
    ranks = 9
    for rank in range(ranks):
        near = (rank + 1) / ranks
        bend = noise.line(rng, canvas, cells=2.5, octaves=2) * 7
        phase = canvas.x[0] * (34 - 26 * near) + bend + rng.uniform(0, 6.3)
        crest = (0.5 + 0.5 * np.sin(phase + 0.45 * np.sin(phase))) ** 1.8
        chop = noise.line(rng, canvas, cells=16, octaves=4)
        swell = 0.35 + 0.65 * noise.line(rng, canvas, cells=2, octaves=2)
        height = (0.012 + 0.075 * near**1.5) * (0.35 + 0.9 * rough) * swell
        curve = level + (1 - level) * near**1.5 * 0.95 + 0.012 - height * (0.8 * crest + 0.2 * chop)
        depth = np.maximum(canvas.y - curve[None, :], 0)
        body = mix(mix(palette.middle, palette.zenith, 0.45), palette.near, 0.3 + 0.5 * near)
        thin = np.exp(-depth / (0.012 + 0.05 * near)) * (crest**2)[None, :]
        colour = mix(body, mix(palette.middle, palette.light, 0.3), np.clip(thin * 0.75, 0, 1))
        streaks = noise.plane(rng, canvas, across=6, down=70, octaves=3) - 0.5
        streaks = noise.warped(streaks, canvas, down=(curve[None, :] - level) * np.ones_like(canvas.y))
        canvas.paint(canvas.below(curve), mix(colour, palette.horizon, np.clip(streaks * 0.6, 0, 0.3)))
        _paint_foam(canvas, depth=depth, curve=curve, crest=crest, near=near, rough=rough, palette=palette, rng=rng)


def _paint_foam(
    canvas: Canvas, *, depth: Array, curve: Array, crest: Array, near: float, rough: float, palette: Palette, rng: np.random.Generator
) -> None:
    lace = noise.plane(rng, canvas, across=30, down=60, octaves=4, roughness=0.65)
    reach = (0.003 + 0.02 * near) * smoothstep(0.5, 1.0, crest)[None, :]
    spilled = smoothstep(0.5, 0.75, lace + 0.25 * np.exp(-depth / (reach + 1e-4)) - 0.1) * np.exp(-((depth / (reach + 1e-4)) ** 2))
    lip = np.exp(-((depth / (0.0018 + 0.0024 * near)) ** 2)) * smoothstep(0.45, 0.95, crest)[None, :] * (0.4 + 0.6 * lace)
    mask = np.clip(spilled * 0.6 + lip * 0.8, 0, 1) * canvas.below(curve) * (0.3 + 0.6 * rough)
    canvas.paint(mask, mix(palette.light, palette.middle, 0.25))
