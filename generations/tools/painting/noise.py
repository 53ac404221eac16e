"""Smooth randomness: along a line and over the canvas."""

import numpy as np
from PIL import Image

from .canvas import Array, Canvas


def line(rng: np.random.Generator, canvas: Canvas, *, cells: float, octaves: int = 5, roughness: float = 0.5, sharp: bool = False) -> Array:
    """Return noise of 0 to 1 for each column. `cells` hills fit the width; `sharp` turns them into crests."""
    place = np.linspace(0, 1, canvas.width, dtype=np.float32)
    total = np.zeros(canvas.width, dtype=np.float32)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        count = cells * 2**octave
        values = rng.random(int(count) + 3)
        at = place * count + rng.random()
        left = np.minimum(at.astype(int), len(values) - 2)
        t = np.clip(at - left, 0, 1)
        octave_line = values[left] + (values[left + 1] - values[left]) * t * t * (3 - 2 * t)
        total += weight * (1 - np.abs(2 * octave_line - 1) if sharp else octave_line)
        weights += weight
        weight *= roughness
    return total / np.float32(weights)


def plane(rng: np.random.Generator, canvas: Canvas, *, across: float, down: float, octaves: int = 4, roughness: float = 0.5) -> Array:
    """Return noise of about 0 to 1 for each pixel, with `across` times `down` blotches in its coarsest octave."""
    total = np.zeros((canvas.height, canvas.width), dtype=np.float32)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        rows, columns = (max(2, round(cells * 2**octave)) + 3 for cells in (down, across))
        grid = Image.fromarray(rng.random((rows, columns), dtype=np.float32))
        # the outermost cells stay outside: resizing repeats them at the edges
        total += weight * np.asarray(
            grid.resize((canvas.width, canvas.height), Image.Resampling.BICUBIC, box=(1, 1, columns - 1, rows - 1))
        )
        weights += weight
        weight *= roughness
    spread: Array = np.clip((total / np.float32(weights) - 0.5) * 1.5 + 0.5, 0, 1)
    return spread


def warped(field: Array, canvas: Canvas, *, right: "float | Array" = 0.0, down: "float | Array" = 0.0) -> Array:
    """Return a field with each pixel taken from elsewhere: `right` and `down` say how far, in picture heights."""
    rows = np.clip(np.arange(canvas.height)[:, None] + down * canvas.height, 0, canvas.height - 1).astype(int)
    columns = np.clip(np.arange(canvas.width)[None, :] + right * canvas.height, 0, canvas.width - 1).astype(int)
    moved: Array = field[rows, columns]
    return moved


def smoothed(curve: Array, canvas: Canvas, *, over: float) -> Array:
    """Return a curve averaged over a width, in picture heights."""
    size = max(1, int(over * canvas.height)) | 1
    padded = np.pad(curve, size // 2, mode="edge")
    return np.convolve(padded, np.ones(size) / size, mode="valid")


def side(rng: np.random.Generator) -> int:
    """Return -1 or 1."""
    return 1 if rng.random() < 0.5 else -1
