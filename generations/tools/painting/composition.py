"""From a prompt and a seed to a finished picture."""

import hashlib
import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import palettes, prompt
from .abstract import paint_flow, paint_geometry
from .canvas import Canvas, smoothstep
from .cosmos import paint_cosmos
from .landscapes import paint_landscape
from .palettes import Palette
from .prompt import Brief

STYLES = ("landscape", "cosmos", "flow", "geometry")

# A larger picture is painted at this size and enlarged: time and memory stay bounded, and the grain hides it.
MAX_PAINTED_PIXELS = 1_200_000


@dataclass(frozen=True)
class Painting:
    """A picture as PNG, and how it was made."""

    png: bytes
    style: str
    palette: str


def paint(*, prompt_text: str, seed: int, width: int, height: int, style: str | None = None) -> Painting:
    """Paint what a prompt asks for. The same arguments give the same bytes.

    `style` is one of `STYLES`; None leaves it to the prompt and the seed. `width` and `height` are in pixels.
    """
    digest = hashlib.sha256(f"{seed}\n{' '.join(prompt_text.casefold().split())}".encode(errors="replace")).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16]))
    brief = prompt.read(prompt_text, rng)
    chosen = style or _style(brief, rng)
    palette = palettes.choose(brief, rng)
    scale = min(1.0, math.sqrt(MAX_PAINTED_PIXELS / (width * height)))
    canvas = Canvas(width=max(1, round(width * scale)), height=max(1, round(height * scale)))
    if chosen == "cosmos":
        paint_cosmos(canvas, palette=palette, rng=rng)
    elif chosen == "flow":
        paint_flow(canvas, palette=palette, rng=rng)
    elif chosen == "geometry":
        paint_geometry(canvas, palette=palette, rng=rng)
    else:
        paint_landscape(canvas, brief=brief, palette=palette, rng=rng)
    finish(canvas, palette=palette, strength=0.4 if chosen == "geometry" else 1.0)
    return Painting(png=_encoded(canvas, size=(width, height), rng=rng), style=chosen, palette=palette.name)


def _style(brief: Brief, rng: np.random.Generator) -> str:
    drawn = rng.random()
    if brief.place == "space":
        return "cosmos"
    if brief.place in brief.named:
        return "landscape"
    if "geometry" in brief.things:
        return "geometry" if drawn < 0.5 or "flow" not in brief.things else "flow"
    if "flow" in brief.things:
        return "flow"
    return "landscape" if drawn < 0.72 else "flow" if drawn < 0.9 else "geometry"


def finish(canvas: Canvas, *, palette: Palette, strength: float = 1.0) -> None:
    """Add bloom, a little contrast, and a vignette."""
    bright = np.clip(canvas.pixels.mean(axis=2) - 0.62, 0, 1)
    canvas.shine(np.clip(canvas.blurred(bright.astype(np.float32), 0.03) * 0.5 * strength, 0, 1), palette.light)
    curve = canvas.pixels * canvas.pixels * (3 - 2 * canvas.pixels)
    canvas.pixels = canvas.pixels + (curve - canvas.pixels) * 0.22 * strength
    away = np.hypot((canvas.x / canvas.aspect - 0.5) * 1.1, canvas.y - 0.5)
    canvas.pixels = canvas.pixels * (1 - 0.34 * strength * smoothstep(0.32, 0.82, away))[..., None]


def _encoded(canvas: Canvas, *, size: tuple[int, int], rng: np.random.Generator) -> bytes:
    """Return the canvas as PNG of a size in pixels, with grain as fine as its pixels."""
    picture = Image.fromarray((np.clip(canvas.pixels, 0, 1) * 255 + 0.5).astype(np.uint8))
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    grain = np.rint(rng.standard_normal((size[1], size[0]), dtype=np.float32) * np.float32(3.3)).astype(np.int16)
    grained = np.clip(np.asarray(picture, dtype=np.int16) + grain[..., None], 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(grained).save(out, "PNG", compress_level=6)
    return out.getvalue()
