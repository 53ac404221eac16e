"""Space: nebulae, stars and planets."""

import numpy as np

from . import noise
from .canvas import Array, Canvas, Point, mix, smoothstep
from .palettes import Palette
from .sky import paint_stars


def paint_cosmos(canvas: Canvas, *, palette: Palette, rng: np.random.Generator) -> None:
    """Paint a nebula, its stars, and a planet with its moon."""
    canvas.pixels = canvas.gradient([(0, palette.near), (0.5, palette.zenith), (1, palette.near)]).copy()
    _paint_nebula(canvas, palette=palette, rng=rng)
    paint_stars(canvas, palette=palette, strength=1, horizon=4.0, rng=rng, count=1500)
    side = noise.side(rng)
    sun = (canvas.aspect * (0.5 - side * rng.uniform(0.25, 0.45)), rng.uniform(0.1, 0.45))
    canvas.shine(canvas.halo(sun, 0.28) * 0.4, mix(palette.light, palette.accent, 0.4))
    canvas.shine(canvas.halo(sun, 0.035), palette.light)
    planet = (canvas.aspect * (0.5 + side * rng.uniform(0.08, 0.24)), rng.uniform(0.5, 0.66))
    radius = rng.uniform(0.19, 0.3)
    ringed = rng.random() < 0.6
    tilt = rng.uniform(-0.5, 0.5)
    if ringed:
        _paint_ring(canvas, planet, radius=radius, tilt=tilt, front=False, palette=palette)
    _paint_planet(canvas, planet, radius=radius, sun=sun, tilt=tilt, palette=palette, rng=rng)
    if ringed:
        _paint_ring(canvas, planet, radius=radius, tilt=tilt, front=True, palette=palette)
    moon = (planet[0] - side * radius * rng.uniform(1.7, 2.3), planet[1] - radius * rng.uniform(0.4, 1.1))
    _paint_planet(canvas, moon, radius=radius * rng.uniform(0.13, 0.24), sun=sun, tilt=0.3, palette=palette, rng=rng)


def _paint_nebula(canvas: Canvas, *, palette: Palette, rng: np.random.Generator) -> None:
    base = noise.plane(rng, canvas, across=3.2, down=2.4, octaves=6, roughness=0.55)
    warp = noise.plane(rng, canvas, across=3, down=2.2, octaves=4)
    # the noise is bent by other noise: filaments instead of blotches
    rows = np.clip(np.arange(canvas.height)[:, None] + (warp - 0.5) * canvas.height * 0.7, 0, canvas.height - 1).astype(int)
    columns = np.clip(np.arange(canvas.width)[None, :] + (base - 0.5) * canvas.height * 0.6, 0, canvas.width - 1).astype(int)
    bent = base[rows, columns]
    other = warp[rows, columns]
    canvas.shine(smoothstep(0.35, 0.95, bent) * 0.75, mix(palette.middle, palette.horizon, 0.35))
    canvas.shine(smoothstep(0.5, 0.95, bent * 0.65 + other * 0.45) * 0.7, palette.horizon)
    canvas.shine(smoothstep(0.62, 1.0, other) * 0.4, palette.accent)
    canvas.shine(smoothstep(0.7, 1.05, bent) * 0.6, palette.light)
    dust = smoothstep(0.5, 0.72, noise.plane(rng, canvas, across=5, down=4, octaves=5)[rows, columns])
    canvas.paint(dust * 0.5, palette.near)


def _paint_planet(
    canvas: Canvas, centre: Point, *, radius: float, sun: Point, tilt: float, palette: Palette, rng: np.random.Generator
) -> None:
    """Paint a banded sphere, lit from the sun, with air around its rim."""
    x, y = (canvas.x - centre[0]) / radius, (canvas.y - centre[1]) / radius
    flat = np.clip(x**2 + y**2, 0, 1)
    z = np.sqrt(1 - flat)
    reach = np.hypot(sun[0] - centre[0], sun[1] - centre[1])
    facing = (x * (sun[0] - centre[0]) + y * (sun[1] - centre[1])) / reach * 0.86 + z * 0.4
    latitude = y * np.cos(tilt) - x * np.sin(tilt)
    storms = noise.plane(rng, canvas, across=9, down=14, octaves=5, roughness=0.6) - 0.5
    bands = 0.5 + 0.5 * np.sin(latitude * rng.uniform(9, 15) + storms * 5 + rng.uniform(0, 6))
    surface = mix(mix(palette.middle, palette.horizon, bands), palette.accent, np.clip(storms * 1.4, 0, 0.5))
    day = smoothstep(-0.12, 0.75, facing)
    lit = surface * (0.05 + 1.08 * day)[..., None]
    canvas.paint(canvas.disc(centre, radius), np.clip(lit, 0, 1))
    rim = np.exp(-(((canvas.distance(centre) - radius) / (0.045 * radius + 0.002)) ** 2)) * smoothstep(-0.3, 0.6, facing)
    canvas.shine(np.clip(rim * 0.75, 0, 1), mix(palette.accent, palette.light, 0.5))


def _paint_ring(canvas: Canvas, centre: Point, *, radius: float, tilt: float, front: bool, palette: Palette) -> None:
    along = (canvas.x - centre[0]) * np.cos(tilt) + (canvas.y - centre[1]) * np.sin(tilt)
    across = -(canvas.x - centre[0]) * np.sin(tilt) + (canvas.y - centre[1]) * np.cos(tilt)
    reach = np.hypot(along, across / 0.24) / radius
    grooves: Array = 0.55 + 0.3 * np.sin(reach * 46) + 0.15 * np.sin(reach * 113)
    band = smoothstep(1.35, 1.42, reach) * smoothstep(2.15, 2.02, reach) * grooves
    half = across > 0 if front else across <= 0
    canvas.paint(band * half * 0.8, mix(palette.light, palette.horizon, 0.4))
