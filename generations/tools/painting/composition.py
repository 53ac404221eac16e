"""From a prompt and a seed to a finished picture."""

import hashlib
import io
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
    canvas = Canvas(width=width, height=height)
    if chosen == "cosmos":
        paint_cosmos(canvas, palette=palette, rng=rng)
    elif chosen == "flow":
        paint_flow(canvas, palette=palette, rng=rng)
    elif chosen == "geometry":
        paint_geometry(canvas, palette=palette, rng=rng)
    else:
        paint_landscape(canvas, brief=brief, palette=palette, rng=rng)
    finish(canvas, palette=palette, rng=rng, strength=0.4 if chosen == "geometry" else 1.0)
    return Painting(png=encoded(canvas), style=chosen, palette=palette.name)


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


def finish(canvas: Canvas, *, palette: Palette, rng: np.random.Generator, strength: float = 1.0) -> None:
    """Bloom, a little contrast, a vignette and grain."""
    bright = np.clip(canvas.pixels.mean(axis=2) - 0.62, 0, 1)
    canvas.shine(np.clip(canvas.blurred(bright.astype(np.float32), 0.03) * 0.5 * strength, 0, 1), palette.light)
    curve = canvas.pixels * canvas.pixels * (3 - 2 * canvas.pixels)
    canvas.pixels = canvas.pixels + (curve - canvas.pixels) * 0.22 * strength
    away = np.hypot((canvas.x / canvas.aspect - 0.5) * 1.1, canvas.y - 0.5)
    canvas.pixels = canvas.pixels * (1 - 0.34 * strength * smoothstep(0.32, 0.82, away))[..., None]
    grain = rng.standard_normal((canvas.height, canvas.width), dtype=np.float32) * np.float32(0.013)
    canvas.pixels = canvas.pixels + grain[..., None]


def encoded(canvas: Canvas) -> bytes:
    """Return the canvas as PNG."""
    out = io.BytesIO()
    Image.fromarray((np.clip(canvas.pixels, 0, 1) * 255 + 0.5).astype(np.uint8)).save(out, "PNG", compress_level=6)
    return out.getvalue()
