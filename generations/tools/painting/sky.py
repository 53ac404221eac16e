"""Skies: gradient, sun or moon, stars, clouds, lightning, rain and snow."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from . import noise
from .canvas import Canvas, Point, mix, smoothstep
from .palettes import Palette
from .prompt import Brief


@dataclass(frozen=True)
class Light:
    """Where the light comes from, and how far it reaches."""

    place: Point
    is_moon: bool
    strength: float


def paint_sky(canvas: Canvas, *, brief: Brief, palette: Palette, horizon: float, rng: np.random.Generator) -> Light:
    """Paint the whole canvas as sky down to the horizon, and return its light."""
    side = noise.side(rng)
    height = {"dawn": 0.78, "dusk": 0.8, "day": 0.38, "night": 0.42}[brief.hour] * horizon
    place = (canvas.aspect * (0.5 + side * rng.uniform(0.1, 0.3)), height + rng.uniform(-0.05, 0.05) * horizon)
    veiled = {"storm": 0.35, "rain": 0.4, "fog": 0.6, "cloud": 0.8, "snow": 0.8}.get(brief.weather, 1.0)
    light = Light(place=place, is_moon=brief.hour == "night", strength=veiled)
    canvas.pixels = canvas.gradient(
        [(0, palette.zenith), (horizon * 0.62, palette.middle), (horizon, palette.horizon), (1, palette.horizon)]
    ).copy()
    if brief.hour == "night" and brief.weather in ("clear", "cloud", "snow", "fog"):
        paint_stars(canvas, palette=palette, strength=veiled, horizon=horizon, rng=rng)
    _paint_light(canvas, light=light, palette=palette, horizon=horizon, rng=rng)
    _paint_clouds(canvas, brief=brief, palette=palette, light=light, horizon=horizon, rng=rng)
    return light


def paint_stars(canvas: Canvas, *, palette: Palette, strength: float, horizon: float, rng: np.random.Generator, count: int = 420) -> None:
    """Strew stars over the sky, thicker along a milky way."""
    tilt, middle = rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.45)
    across = canvas.y - (middle + tilt * (canvas.x / canvas.aspect - 0.5))
    band = np.exp(-((across / 0.16) ** 2)) * noise.plane(rng, canvas, across=7, down=5, octaves=5, roughness=0.6) ** 2
    fade = smoothstep(horizon, horizon * 0.35, canvas.y)
    canvas.shine(band * fade * 0.34 * strength, mix(palette.light, palette.middle, 0.45))
    places = np.stack([rng.random(count) * canvas.aspect, rng.random(count) ** 1.3 * horizon, rng.random(count)], axis=1)
    for low, high, brightness in ((0.0, 0.75, 0.45), (0.75, 0.95, 0.8), (0.95, 1.0, 1.0)):
        chosen = places[(places[:, 2] >= low) & (places[:, 2] < high)]
        radius = 0.0011 + 0.0016 * low**6
        mask = canvas.shapes(discs=[(x, y, radius) for x, y, _ in chosen])
        if low > 0.9:
            mask = np.maximum(mask, canvas.blurred(mask, 0.012) * 2.2)
        canvas.shine(np.clip(mask * brightness * fade * strength, 0, 1), palette.light)


def _paint_light(canvas: Canvas, *, light: Light, palette: Palette, horizon: float, rng: np.random.Generator) -> None:
    """Paint the sun or the moon with the glow around it."""
    warm = mix(palette.light, palette.accent, 0.25)
    low = np.exp(-(((canvas.y - horizon) / 0.16) ** 2)) * np.exp(-(((canvas.x - light.place[0]) / 0.75) ** 2))
    canvas.shine(low * 0.32 * light.strength, warm)
    canvas.shine(canvas.halo(light.place, 0.34) * 0.38 * light.strength, warm)
    canvas.shine(canvas.halo(light.place, 0.12) * 0.5 * light.strength, palette.light)
    radius = rng.uniform(0.045, 0.062) * (1.0 if light.is_moon else 1.15)
    if light.strength < 0.5:
        return  # behind the clouds
    disc = canvas.disc(light.place, radius)
    face = palette.light
    if light.is_moon:
        phase = rng.uniform(0.4, 0.8) * radius * noise.side(rng)
        if rng.random() < 0.5:
            disc *= 1 - canvas.disc((light.place[0] + phase, light.place[1] - 0.25 * radius), radius * 0.98)
        seas = smoothstep(0.45, 0.7, noise.plane(rng, canvas, across=26 * canvas.aspect, down=26, octaves=3))
        face = mix(palette.light, palette.middle, 0.28 * seas)
    visible = {True: 0.97, False: 0.9}[light.is_moon] * min(1.0, 0.25 + light.strength)
    canvas.paint(disc * visible, face)


_CLOUD_COVER = {"clear": 0.62, "cloud": 0.47, "storm": 0.36, "rain": 0.36, "fog": 0.55, "snow": 0.5}


def _paint_clouds(canvas: Canvas, *, brief: Brief, palette: Palette, light: Light, horizon: float, rng: np.random.Generator) -> None:
    """Paint clouds that flatten towards the horizon, lit from the light's side."""
    heavy = brief.weather in ("storm", "rain")
    # rows are gathered closer together towards the horizon: perspective
    squeeze = np.clip((canvas.y[:, 0] / horizon) ** 1.6 * (canvas.height - 1), 0, canvas.height - 1).astype(int)
    side = 1 if light.place[0] > canvas.aspect / 2 else -1
    for layer in range(2):
        drift = noise.plane(rng, canvas, across=4, down=5, octaves=4) - 0.5
        field = noise.plane(rng, canvas, across=3.2 + 2 * layer, down=5 + 3 * layer, octaves=6, roughness=0.5)
        field = noise.warped(field, canvas, right=drift * 0.26, down=np.roll(drift, canvas.height // 2, axis=0) * 0.13)[squeeze]
        cover = _CLOUD_COVER[brief.weather] + 0.05 * layer
        density = smoothstep(cover, cover + 0.24, field)
        toward = noise.warped(field, canvas, right=0.022 * side, down=0.012)
        lit = np.clip(0.5 + (field - toward) * 3.4, 0, 1)
        nearness = np.exp(-((canvas.distance(light.place) / 0.55) ** 2)) * light.strength
        shadow = mix(palette.zenith, palette.near, 0.4) if heavy else mix(palette.middle, palette.zenith, 0.35)
        bright = mix(palette.horizon, palette.light, np.clip(0.2 + nearness, 0, 1)) * (0.66 if heavy else 1)
        colour = shadow + lit[..., None] * (bright - shadow)
        fade = smoothstep(horizon * 1.0, horizon * 0.72, canvas.y)
        canvas.paint(density * fade * ((0.9 if heavy else 0.7) - 0.25 * layer), colour)


def paint_lightning(canvas: Canvas, *, palette: Palette, horizon: float, rng: np.random.Generator) -> None:
    """Strike from the clouds down to the horizon, and light up what is around."""
    start = rng.uniform(0.2, 0.8) * canvas.aspect
    bolts = [(_bolt(rng, (start, 0.02 * horizon), (start + rng.uniform(-0.15, 0.15), horizon)), 0.0042)]
    for _ in range(3):
        trunk = bolts[0][0]
        fork = trunk[int(rng.integers(len(trunk) // 4, len(trunk) * 3 // 4))]
        end = (fork[0] + rng.uniform(-0.2, 0.2), fork[1] + rng.uniform(0.1, 0.25))
        bolts.append((_bolt(rng, fork, end), 0.0022))
    mask = canvas.shapes(lines=bolts)
    canvas.shine(canvas.blurred(mask, 0.09) * 1.6, mix(palette.light, palette.middle, 0.5))
    canvas.shine(np.clip(canvas.blurred(mask, 0.012) * 2.4 + mask, 0, 1), palette.light)


def _bolt(rng: np.random.Generator, start: Point, end: Point) -> list[Point]:
    """Return a jagged way from start to end, by moving midpoints."""
    points = [start, end]
    spread = 0.06
    for _ in range(5):
        refined: list[Point] = [points[0]]
        for before, after in pairwise(points):
            refined += [((before[0] + after[0]) / 2 + rng.uniform(-spread, spread), (before[1] + after[1]) / 2), after]
        points, spread = refined, spread * 0.55
    return points


def paint_rain(canvas: Canvas, *, palette: Palette, rng: np.random.Generator) -> None:
    """Draw slanting rain over all that is there."""
    slant = rng.uniform(-0.35, 0.35)
    for length, width, strength, count in ((0.05, 0.0012, 0.22, 500), (0.1, 0.002, 0.2, 160)):
        starts = rng.random((count, 2)) * [canvas.aspect * 1.2, 1.1] - [canvas.aspect * 0.1, 0.1]
        lines = [([(x, y), (x + slant * length, y + length)], width) for x, y in starts]
        canvas.shine(canvas.shapes(lines=lines) * strength, mix(palette.light, palette.horizon, 0.5))


def paint_snowfall(canvas: Canvas, *, palette: Palette, rng: np.random.Generator) -> None:
    """Let snow fall: many small flakes far away, few soft ones near."""
    for radius, strength, count in ((0.0018, 0.75, 420), (0.0036, 0.8, 130), (0.0085, 0.55, 34)):
        places = rng.random((count, 3)) * [canvas.aspect, 1, 1]
        mask = canvas.shapes(discs=[(x, y, radius * (0.6 + 0.8 * size)) for x, y, size in places])
        if radius > 0.003:
            mask = canvas.blurred(mask, radius * 1.2) * 1.5
        canvas.paint(np.clip(mask * strength, 0, 1), palette.light)
