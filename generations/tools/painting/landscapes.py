"""Landscapes: which land, water, buildings and weather come together, and where they stand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import noise
from .buildings import paint_castle, paint_cottage, paint_lighthouse, paint_viaduct
from .canvas import Array, Canvas, Point, mix, smoothstep
from .city import paint_city
from .land import height_at, paint_dunes, paint_forest, paint_haze, paint_headland, paint_hills, paint_layer, paint_mountains
from .motifs import paint_birds, paint_boat, paint_figure, paint_lanterns, paint_meteor, paint_tree
from .palettes import Palette
from .prompt import Brief
from .sky import Light, paint_lightning, paint_rain, paint_sky, paint_snowfall
from .water import paint_water, paint_waves


@dataclass(frozen=True)
class Scene:
    """What every painter of a place needs. `horizon` is in picture heights."""

    canvas: Canvas
    brief: Brief
    palette: Palette
    light: Light
    horizon: float
    rng: np.random.Generator

    @property
    def dark_side(self) -> int:
        """Return the side away from the light, -1 for left: what stands in front goes there."""
        return -1 if self.light.place[0] > self.canvas.aspect / 2 else 1

    def across(self, low: float, high: float) -> float:
        """Return an x between two distances from the middle, in picture widths, towards the dark side."""
        return self.canvas.aspect * (0.5 + self.dark_side * self.rng.uniform(low, high))

    def on(self, crest: Array, x: float, *, sunk: float = 0.0) -> Point:
        return (x, height_at(self.canvas, crest, x) + sunk)


def paint_landscape(canvas: Canvas, *, brief: Brief, palette: Palette, rng: np.random.Generator) -> None:
    """Paint the sky, the place that the brief names, and the weather over it."""
    usual, paint_place = _PLACES.get(brief.place, (0.56, _hills))
    horizon = usual + rng.uniform(-0.04, 0.04)
    light = paint_sky(canvas, brief=brief, palette=palette, horizon=horizon, rng=rng)
    if "meteor" in brief.things and brief.hour == "night":
        paint_meteor(canvas, palette=palette, horizon=horizon, rng=rng)
    if brief.weather == "storm":
        paint_lightning(canvas, palette=palette, horizon=horizon, rng=rng)
    paint_place(Scene(canvas=canvas, brief=brief, palette=palette, light=light, horizon=horizon, rng=rng))
    flying = rng.random() < 0.5 and brief.hour != "night" and brief.weather not in ("storm", "snow")
    if flying or "birds" in brief.things:
        paint_birds(canvas, palette=palette, horizon=horizon, rng=rng)
    if not brief.things.isdisjoint({"lanterns", "magic"}):
        paint_lanterns(canvas, palette=palette, top=horizon * 0.6, bottom=0.97, rng=rng)
    if brief.weather == "fog":
        paint_haze(canvas, palette=palette, level=horizon + 0.1, depth=0.2, strength=0.5, rng=rng)
    if brief.weather in ("rain", "storm"):
        paint_rain(canvas, palette=palette, rng=rng)
    if brief.weather == "snow":
        paint_snowfall(canvas, palette=palette, rng=rng)


def _sea(scene: Scene) -> None:
    canvas, brief, palette, light, rng = scene.canvas, scene.brief, scene.palette, scene.light, scene.rng
    if rng.random() < 0.65:
        ridge = noise.line(rng, canvas, cells=2.5, octaves=6, sharp=True) * noise.line(rng, canvas, cells=1.4, octaves=1)
        far_coast = scene.horizon + 0.012 - 0.085 * ridge
        paint_layer(canvas, far_coast, palette=palette, distance=0.72, light=light, mist=0.4, rng=rng)
    rough = {"storm": 1.0, "rain": 0.55}.get(brief.weather, 0.0)
    calm = 0.1 if rough else rng.uniform(0.45, 0.95)
    paint_water(canvas, palette=palette, light=light, level=scene.horizon, rng=rng, calm=calm)
    if rough:
        paint_waves(canvas, palette=palette, level=scene.horizon, rng=rng, rough=rough)
    lighthouse = "lighthouse" in brief.things
    if "boat" in brief.things or not lighthouse:
        place = (scene.across(-0.3, -0.08), scene.horizon + rng.uniform(0.05, 0.14))
        paint_boat(canvas, place=place, size=rng.uniform(0.1, 0.16), palette=palette, rng=rng)
    if lighthouse or rng.random() < 0.75:
        _headland(scene, lighthouse=lighthouse)


def _headland(scene: Scene, *, lighthouse: bool) -> None:
    """Paint a cliff on the dark side, with what the prompt puts on it."""
    canvas, brief, palette, rng = scene.canvas, scene.brief, scene.palette, scene.rng
    crest = paint_headland(canvas, palette=palette, light=scene.light, side=scene.dark_side, level=scene.horizon + 0.12, rng=rng)
    at = scene.across(0.26, 0.34)
    if lighthouse:
        lit = {"night": 1.0, "dusk": 0.75, "dawn": 0.45}.get(brief.hour, 0.25)
        lit = max(lit, 0.85 if brief.weather in ("storm", "rain", "fog") else 0)
        tall = rng.uniform(0.38, 0.45)
        paint_lighthouse(canvas, foot=scene.on(crest, at), height=tall, palette=palette, light=scene.light, lit=lit, rng=rng)
    if lighthouse or "house" in brief.things:
        beside = at + scene.dark_side * rng.uniform(0.1, 0.14)
        paint_cottage(canvas, foot=scene.on(crest, beside), size=0.075, palette=palette, rng=rng)
    foot = scene.on(crest, at - scene.dark_side * rng.uniform(0.06, 0.11))
    if foot[1] < 1:
        _stand(scene, foot=foot, size=0.055)


def _mountains(scene: Scene) -> None:
    lake = scene.rng.random() < 0.4
    paint_mountains(scene.canvas, brief=scene.brief, palette=scene.palette, light=scene.light, horizon=scene.horizon, rng=scene.rng)
    if lake:
        paint_water(scene.canvas, palette=scene.palette, light=scene.light, level=0.8, rng=scene.rng, calm=0.85)
    _bridge(scene, level=0.82, distance=0.3)
    _foreground(scene)


def _forest(scene: Scene) -> None:
    ground = paint_forest(scene.canvas, brief=scene.brief, palette=scene.palette, light=scene.light, horizon=scene.horizon, rng=scene.rng)
    scene.canvas.shine(scene.canvas.halo((scene.light.place[0], scene.horizon), 0.3) * 0.2 * scene.light.strength, scene.palette.light)
    _stand(scene, foot=scene.on(ground, scene.across(-0.08, 0.08), sunk=0.01), size=0.1)


def _desert(scene: Scene) -> None:
    crest = paint_dunes(scene.canvas, palette=scene.palette, light=scene.light, horizon=scene.horizon, rng=scene.rng)
    _stand(scene, foot=scene.on(crest, scene.across(-0.2, 0.2)), size=0.07)


def _city(scene: Scene) -> None:
    level = scene.horizon + 0.12
    paint_city(scene.canvas, palette=scene.palette, level=level, rng=scene.rng)
    _bridge(scene, level=level + 0.02, distance=0.1)
    paint_water(scene.canvas, palette=scene.palette, light=scene.light, level=level, rng=scene.rng, calm=0.5)


def _hills(scene: Scene) -> None:
    canvas, things, palette, rng = scene.canvas, scene.brief.things, scene.palette, scene.rng
    if "castle" in things:
        paint_castle(canvas, foot=(scene.across(0.18, 0.22), scene.horizon + 0.01), size=0.34, palette=palette, distance=0.5, rng=rng)
    crest = paint_hills(canvas, palette=palette, light=scene.light, horizon=scene.horizon, rng=rng)
    _bridge(scene, level=scene.horizon + 0.2, distance=0.3)
    if "house" in things:
        paint_cottage(canvas, foot=scene.on(crest, scene.across(-0.1, -0.06), sunk=0.01), size=0.13, palette=palette, rng=rng)
    tree = "castle" not in things and (rng.random() < 0.6 or "tree" in things)
    at = scene.across(0.27, 0.36) if tree else scene.across(0.1, 0.25)
    if tree:
        size = rng.uniform(0.5, 0.68)
        paint_tree(canvas, foot=scene.on(crest, at, sunk=0.03), size=size, palette=palette, leafy=_leaves(scene), rng=rng)
        at -= scene.dark_side * 0.11
    _stand(scene, foot=scene.on(crest, at, sunk=0.01), size=0.09)


def _leaves(scene: Scene) -> Array | None:
    """Return the colour of leaves; None in winter."""
    if scene.brief.weather == "snow":
        return None
    if scene.brief.hour == "dusk" or "autumn" in scene.brief.things:
        return mix(scene.palette.accent, scene.palette.near, 0.15)
    return mix(scene.palette.near, scene.palette.middle, 0.35)


def _volcano(scene: Scene) -> None:
    canvas, palette, rng = scene.canvas, scene.palette, scene.rng
    at, spread = canvas.aspect * rng.uniform(0.4, 0.6), rng.uniform(0.5, 0.62)
    away = np.abs(canvas.x[0] - at)
    rough = noise.line(rng, canvas, cells=14, octaves=5) - 0.5
    cone = 0.36 * np.exp(-((away / spread) ** 1.1) * 2.2) - 0.035 * np.exp(-((away / 0.05) ** 2))
    curve = scene.horizon + 0.02 + rough * 0.035 - cone
    peak = (at, float(curve.min()))
    plume = noise.plane(rng, canvas, across=5, down=6, octaves=5)
    above = np.maximum(peak[1] - canvas.y, 0)
    column = np.exp(-(((canvas.x - at - above * 0.5) / (0.06 + above * 0.5)) ** 2)) * (canvas.y < peak[1] + 0.02)
    canvas.paint(column * smoothstep(0.3, 0.65, plume) * 0.9, mix(palette.near, palette.middle, smoothstep(0.5, 0.9, plume) * 0.8))
    canvas.shine(canvas.halo((at, peak[1] - 0.02), 0.16) * 0.9, palette.accent)
    paint_layer(canvas, curve, palette=palette, distance=0.2, light=scene.light, mist=0.35, rng=rng)
    veins = noise.plane(rng, canvas, across=22, down=3, octaves=4, roughness=0.6)
    reach = np.exp(-np.maximum(canvas.y - curve[None, :], 0) / 0.16) * np.exp(-((away / 0.22) ** 2))[None, :]
    lava: Array = np.exp(-(((veins - 0.5) / 0.022) ** 2)) * reach * canvas.below(curve)
    canvas.shine(lava, palette.light)
    canvas.shine(np.clip(canvas.blurred(lava, 0.02) * 1.5, 0, 1), palette.accent)
    _foreground(scene)
    paint_lanterns(canvas, palette=palette, top=0.15, bottom=0.95, rng=rng)


def _foreground(scene: Scene) -> None:
    """Close the picture below with a dark rise, some grass on it, and whoever the prompt names."""
    canvas, rng = scene.canvas, scene.rng
    swell = np.exp(-(((canvas.x[0] / canvas.aspect - 0.5 - scene.dark_side * 0.45) / 0.5) ** 2))
    curve = 0.985 - 0.15 * swell - 0.018 * noise.line(rng, canvas, cells=5, octaves=5)
    blades = []
    for x in rng.random(260) * canvas.aspect:
        root = height_at(canvas, curve, float(x)) + 0.004
        bend, tall = rng.uniform(-0.012, 0.012), rng.uniform(0.008, 0.03)
        blades.append([(x - 0.0016, root), (x + bend, root - tall), (x + 0.0016, root)])
    ground = np.maximum(canvas.below(curve), canvas.shapes(polygons=blades))
    canvas.paint(ground, mix(scene.palette.near, scene.palette.middle, 0.05))
    _stand(scene, foot=scene.on(curve, scene.across(0.24, 0.36), sunk=0.006), size=0.12)


def _stand(scene: Scene, *, foot: Point, size: float) -> None:
    """Let somebody stand there, if the prompt names anybody. By night they carry a lantern."""
    if "figure" in scene.brief.things:
        paint_figure(scene.canvas, foot=foot, size=size, palette=scene.palette, lantern=scene.palette.is_dark, rng=scene.rng)


def _bridge(scene: Scene, *, level: float, distance: float) -> None:
    if "bridge" in scene.brief.things:
        paint_viaduct(scene.canvas, level=level, palette=scene.palette, distance=distance, rng=scene.rng)


# How low the horizon lies, and who paints what is below it.
_PLACES: Mapping[str, tuple[float, Callable[[Scene], None]]] = {
    "sea": (0.6, _sea),
    "mountains": (0.56, _mountains),
    "forest": (0.5, _forest),
    "desert": (0.55, _desert),
    "city": (0.66, _city),
    "hills": (0.54, _hills),
    "fire": (0.6, _volcano),
}
