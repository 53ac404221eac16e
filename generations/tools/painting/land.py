"""Land: mountains, hills, dunes and forests, in layers that fade with distance."""

import numpy as np

from . import noise
from .canvas import Array, Canvas, Point, mix, smoothstep
from .palettes import Palette
from .prompt import Brief
from .sky import Light


def paint_haze(canvas: Canvas, *, palette: Palette, level: float, depth: float, strength: float, rng: np.random.Generator) -> None:
    """Lay mist around a height: thick in the middle of the band, gone `depth` above and below."""
    wisps = noise.plane(rng, canvas, across=3, down=9, octaves=4)
    band = np.exp(-(((canvas.y - level + (wisps - 0.5) * depth) / depth) ** 2))
    canvas.paint(band * strength * (0.55 + 0.45 * wisps), mix(palette.horizon, palette.light, 0.25))


def paint_layer(
    canvas: Canvas, curve: Array, *, palette: Palette, distance: float, light: Light, mist: float, rng: np.random.Generator
) -> None:
    """Paint the land under a curve: dark by nearness, lit on the slopes that face the light, misty at its foot."""
    depth = np.maximum(canvas.y - curve[None, :], 0)
    facing = slopes(canvas, curve, light=light, over=0.045, wander=1.6, rng=rng)
    grain = noise.plane(rng, canvas, across=22, down=44, octaves=3, roughness=0.6) - 0.5
    lit = np.clip(facing * 0.55, -0.6, 0.8) * np.exp(-depth / 0.16) + grain * 0.22
    colour = palette.at(distance)
    toned = mix(colour, palette.light, np.clip(lit, 0, 1) * 0.3 * (0.3 + 0.7 * light.strength))
    toned = mix(toned, palette.near, np.clip(-lit, 0, 1) * 0.45)
    foot = smoothstep(0.0, 0.3, depth) * mist
    canvas.paint(canvas.below(curve), mix(toned, mix(palette.horizon, palette.middle, 0.25), foot))


def slopes(canvas: Canvas, curve: Array, *, light: Light, over: float, wander: float, rng: np.random.Generator) -> Array:
    """Return how much the ground under a crest faces the light, -1 to 1.

    The line that parts a lit flank from a shaded one starts at the summit and wanders on its way down.
    """
    side = 1 if light.place[0] > canvas.aspect / 2 else -1
    steep = np.gradient(noise.smoothed(curve, canvas, over=over)) * canvas.height * side
    depth = np.maximum(canvas.y - curve[None, :], 0)
    jag = noise.plane(rng, canvas, across=9, down=9, octaves=4, roughness=0.55) - 0.5
    return noise.warped(np.broadcast_to(np.clip(steep * 1.6, -1, 1), depth.shape), canvas, right=jag * wander * depth)


def paint_mountains(canvas: Canvas, *, brief: Brief, palette: Palette, light: Light, horizon: float, rng: np.random.Generator) -> None:
    """Paint ridges behind ridges; the far ones high, pale and capped with snow."""
    count = int(rng.integers(4, 6))
    for layer in range(count):
        nearness = layer / (count - 1)
        crests = noise.line(rng, canvas, cells=1.5 + 1.5 * layer, octaves=7, roughness=0.44, sharp=True)
        crests = smoothstep(float(crests.min()) - 0.05, float(crests.max()) + 0.02, crests) ** 1.1
        swing = noise.line(rng, canvas, cells=1.6, octaves=1)
        height = (0.42 - 0.25 * nearness) * (0.5 + 0.5 * swing) * crests
        curve = horizon + 0.05 + 0.34 * nearness**1.3 - height
        distance = 0.78 * (1 - nearness) ** 1.1
        paint_layer(canvas, curve, palette=palette, distance=distance, light=light, mist=0.5 * (1 - nearness), rng=rng)
        if layer < 2 or brief.weather == "snow":
            line = float(np.quantile(curve, 0.62 if brief.weather == "snow" else 0.42))
            _paint_snow_caps(canvas, curve, palette=palette, light=light, line=line, rng=rng)
        if layer < count - 1:
            level = float(curve.mean()) + 0.15
            paint_haze(canvas, palette=palette, level=level, depth=0.05, strength=0.3 * (1 - 0.6 * nearness), rng=rng)


def _paint_snow_caps(canvas: Canvas, curve: Array, *, palette: Palette, light: Light, line: float, rng: np.random.Generator) -> None:
    """Lay snow above a line that rises and falls with the gullies; shaded flanks are blue."""
    facing = slopes(canvas, curve, light=light, over=0.018, wander=0.9, rng=rng)
    gullies = noise.plane(rng, canvas, across=26, down=22, octaves=4, roughness=0.6) - 0.5
    edge = line + gullies * 0.14 - facing * 0.02
    mask = canvas.below(curve) * smoothstep(0.008, -0.008, canvas.y - edge)
    shaded = mix(palette.middle, palette.at(0.4), 0.35)
    canvas.paint(mask * 0.9, mix(shaded, mix(palette.light, palette.horizon, 0.15), np.clip(0.45 + 0.75 * facing + gullies * 0.3, 0, 1)))


def paint_hills(canvas: Canvas, *, palette: Palette, light: Light, horizon: float, rng: np.random.Generator, layers: int = 5) -> Array:
    """Paint soft hills, one behind the other, and return the crest of the nearest."""
    curve = np.full(canvas.width, horizon)
    for layer in range(layers):
        nearness = layer / (layers - 1)
        swell = noise.line(rng, canvas, cells=1.4 + 0.8 * (1 - nearness), octaves=3, roughness=0.3)
        curve = horizon + 0.03 + 0.34 * nearness**1.2 - (0.17 + 0.05 * nearness) * swell
        paint_layer(
            canvas, curve, palette=palette, distance=0.05 + 0.75 * (1 - nearness) ** 1.2, light=light, mist=0.5 * (1 - nearness), rng=rng
        )
        if 0 < layer < layers - 1:
            _plant_dots(canvas, curve, palette=palette, distance=0.8 * (1 - nearness) ** 1.2, size=0.006 + 0.016 * nearness, rng=rng)
    return curve


def _plant_dots(canvas: Canvas, curve: Array, *, palette: Palette, distance: float, size: float, rng: np.random.Generator) -> None:
    """Plant clumps of round trees along a crest."""
    discs = []
    for _ in range(int(rng.integers(3, 7))):
        clump = rng.uniform(0, canvas.aspect)
        for _ in range(int(rng.integers(3, 9))):
            x = clump + rng.normal(0, size * 2.2)
            radius = size * rng.uniform(0.5, 1)
            discs.append((x, height_at(canvas, curve, x) - radius * 0.55, radius))
    canvas.paint(canvas.shapes(discs=discs), mix(palette.at(distance), palette.near, 0.45))


def height_at(canvas: Canvas, curve: Array, x: float) -> float:
    """Return how high a curve runs at `x`."""
    return float(curve[int(np.clip(x * canvas.height, 0, canvas.width - 1))])


def paint_dunes(canvas: Canvas, *, palette: Palette, light: Light, horizon: float, rng: np.random.Generator) -> Array:
    """Paint dunes: from each summit a winding edge parts the lit flank from the shaded one; wind ripples the sand."""
    curve = np.full(canvas.width, horizon)
    side = 1 if light.place[0] > canvas.aspect / 2 else -1
    sunny, shady = mix(palette.horizon, palette.light, 0.2), mix(palette.near, palette.middle, 0.25)
    for layer in range(5):
        nearness = layer / 4
        crest = noise.line(rng, canvas, cells=1.7 + 0.9 * (1 - nearness), octaves=2, roughness=0.2, sharp=True)
        crest = noise.smoothed(crest, canvas, over=0.035)
        curve = horizon + 0.015 + 0.4 * nearness**1.25 - (0.06 + 0.15 * nearness) * crest**1.3
        depth = np.maximum(canvas.y - curve[None, :], 0)
        wind = noise.plane(rng, canvas, across=2.5, down=4, octaves=2)
        steep = np.broadcast_to(np.gradient(curve)[None, :] * canvas.height * side, depth.shape)
        lean = side * (0.5 * np.sqrt(depth) + (wind - 0.5) * 1.1 * depth)
        facing = noise.warped(steep, canvas, right=lean)
        shade = smoothstep(0.1, -0.1, facing) * np.exp(-depth / (0.1 + 0.2 * nearness))
        ripples = np.sin((depth + 0.03 * wind) * (300 - 190 * nearness) + wind * 22)
        base = mix(sunny, shady, np.clip(shade * 0.78 + depth * 0.9 * nearness, 0, 1))
        base = mix(base, palette.near, np.clip(0.06 * ripples * nearness * (1 - shade), 0, 1))
        canvas.paint(canvas.below(curve), mix(base, palette.horizon, 0.7 * (1 - nearness) ** 1.3))
    return curve


def paint_forest(canvas: Canvas, *, brief: Brief, palette: Palette, light: Light, horizon: float, rng: np.random.Generator) -> Array:
    """Paint ranks of conifers with mist between them, and return the ground of the nearest."""
    ranks = 5
    ground = np.full(canvas.width, horizon)
    for rank in range(ranks):
        nearness = rank / (ranks - 1)
        ground = horizon + 0.05 + 0.42 * nearness**1.3 - 0.1 * noise.line(rng, canvas, cells=2, octaves=3)
        distance = 0.85 * (1 - nearness) ** 1.15
        paint_layer(canvas, ground, palette=palette, distance=distance, light=light, mist=0.5 * (1 - nearness), rng=rng)
        tall = 0.075 + 0.34 * nearness**1.7
        count = int(90 * (1 - nearness) ** 1.2) + 9
        trees, snow = [], []
        for place in (np.arange(count) + rng.random(count)) / count * (canvas.aspect + 0.2) - 0.1:
            if rank == ranks - 1 and abs(place / canvas.aspect - 0.5) < 0.2:
                continue  # an opening in the front rank: the eye goes through
            root = (float(place), height_at(canvas, ground, float(place)) + 0.012)
            size = tall * rng.uniform(0.6, 1.15)
            trees.append(_conifer(root, size, rng=rng))
            if brief.weather == "snow":
                snow.append(_conifer((root[0], root[1] - size * 0.05), size * 0.96, rng=rng, narrow=0.62))
        canvas.paint(canvas.shapes(polygons=trees), palette.at(distance * 0.92))
        if snow:
            lit = 0.5 * noise.plane(rng, canvas, across=60, down=60, octaves=2)
            canvas.paint(canvas.shapes(polygons=snow) * lit, mix(palette.light, palette.middle, 0.3))
        if rank < ranks - 1:
            level = float(ground.mean()) + 0.03
            paint_haze(canvas, palette=palette, level=level, depth=0.06, strength=0.45 if brief.weather == "fog" else 0.28, rng=rng)
    return ground


def _conifer(root: Point, size: float, *, rng: np.random.Generator, narrow: float = 1.0) -> list[Point]:
    """Return the outline of a fir: tiers of drooping branches, wider towards the ground."""
    x, y = root
    tiers = 7
    left: list[Point] = []
    right: list[Point] = []
    for tier in range(1, tiers + 1):
        part = tier / tiers
        reach = size * 0.21 * part**0.9 * narrow
        level = y - size * (1 - 0.93 * part)
        for side, points in ((-1, left), (1, right)):
            out = reach * rng.uniform(0.75, 1.15)
            points.append((x + side * out, level + size * 0.018))
            points.append((x + side * out * 0.42, level - size * 0.012))
    trunk = size * 0.018
    return [
        (x, y - size),
        *right,
        (x + trunk, y - size * 0.06),
        (x + trunk, y),
        (x - trunk, y),
        (x - trunk, y - size * 0.06),
        *reversed(left),
    ]


def paint_headland(canvas: Canvas, *, palette: Palette, light: Light, side: int, level: float, rng: np.random.Generator) -> Array:
    """Paint a rocky cliff that comes in from one side (-1: left) and stands in the water. Return its crest."""
    tip = rng.uniform(0.4, 0.47)
    along = canvas.x[0] / canvas.aspect if side < 0 else 1 - canvas.x[0] / canvas.aspect
    rough = noise.line(rng, canvas, cells=13, octaves=5, roughness=0.5) - 0.5
    steps = noise.line(rng, canvas, cells=5, octaves=2) - 0.5
    rise = smoothstep(tip, tip * 0.55, along + rough * 0.07 + steps * 0.06)
    crest = level + 0.045 - rise * (0.2 + 0.03 * steps) + rough * 0.028 * (1.15 - rise)
    shore = noise.line(rng, canvas, cells=7, octaves=5, roughness=0.6) - 0.5
    base = level + 0.045 + 0.25 * np.clip(1 - along / tip, 0, 1) ** 0.75 + shore * 0.1 * np.clip(1.2 - along / tip, 0, 1)
    rock = canvas.below(crest) * (1 - canvas.below(base)) * (along < tip)[None, :]
    depth = np.maximum(canvas.y - crest[None, :], 0)
    mirror = (
        np.exp(-np.maximum(canvas.y - base[None, :], 0) / 0.09) * canvas.below(base) * smoothstep(tip + 0.03, tip - 0.06, along)[None, :]
    )
    ripple = noise.plane(rng, canvas, across=7, down=70, octaves=3)
    canvas.paint(mirror * (0.5 + 0.5 * ripple) * 0.8, mix(palette.near, palette.middle, 0.12))
    canvas.paint(rock, _rock(canvas, depth, palette=palette, light=light, rng=rng))
    turf = np.exp(-((depth / 0.014) ** 2)) * rock * smoothstep(0.5, 0.9, rise)[None, :]
    canvas.paint(turf * 0.6, mix(palette.near, palette.light, 0.3))
    surf = np.exp(-(((canvas.y - base[None, :] + (ripple - 0.5) * 0.02) / 0.006) ** 2)) * smoothstep(tip + 0.02, tip - 0.04, along)[None, :]
    canvas.paint(surf * np.clip(ripple * 1.5 - 0.3, 0, 0.8), mix(palette.light, palette.horizon, 0.35))
    return np.where(along < tip, crest, 1.2)


def _rock(canvas: Canvas, depth: Array, *, palette: Palette, light: Light, rng: np.random.Generator) -> Array:
    """Return the colour of broken rock, its faces lit from the light's side."""
    bend = noise.plane(rng, canvas, across=7, down=7, octaves=2) - 0.5
    faces = noise.plane(rng, canvas, across=13, down=8, octaves=5, roughness=0.55)
    faces = noise.warped(faces, canvas, right=bend * 0.12, down=bend * 0.2)
    side = 1 if light.place[0] > canvas.aspect / 2 else -1
    toward = noise.warped(faces, canvas, right=0.009 * side, down=-0.009)
    lit = np.clip(0.34 + (faces - toward) * 5.5, 0, 1) * (0.35 + 0.65 * np.exp(-depth / 0.22))
    return mix(
        mix(palette.near, palette.middle, 0.08), mix(palette.middle, palette.light, 0.25), lit * 0.72 * (0.35 + 0.65 * light.strength)
    )
