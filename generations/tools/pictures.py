"""Reading pictures that strangers made, and writing our own."""

import io
import struct
from typing import Any

from PIL import Image, ImageFont, ImageOps, UnidentifiedImageError

from .contract import Request, ToolError

MAX_SIDE = 4096
MAX_PIXELS = 40_000_000
READABLE = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MIME_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}

FORMAT_SCHEMA = {"type": "string", "description": "The file format of the result.", "enum": list(MIME_TYPES), "default": "png"}
COLOUR_PATTERN = "^#[0-9a-fA-F]{6}$"

# What Pillow's decoders raise on files that are cut short, damaged or built to hurt.
_DECODE_ERRORS = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    MemoryError,
)


def read_picture(request: Request, reference: Any) -> Image.Image:
    """Return the picture behind a reference, upright, as RGB or, when it is transparent anywhere, RGBA.

    Raises:
        ToolError: permanent, `bad_image`: it is none that we read, is damaged, or has more than `MAX_PIXELS`.
    """
    try:
        with Image.open(io.BytesIO(request.read(reference)), formats=READABLE) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise _bad_image(f"it has {opened.width} by {opened.height} pixels; at most {MAX_PIXELS // 1_000_000} million are allowed")
            opened.load()
            upright = ImageOps.exif_transpose(opened)
    except _DECODE_ERRORS as error:
        raise _bad_image(f"{str(error) or type(error).__name__} (readable are {', '.join(READABLE)})") from error
    return upright.convert("RGBA" if upright.has_transparency_data else "RGB")


def _bad_image(why: str) -> ToolError:
    return ToolError(f"The image cannot be used: {why}.", code="bad_image", permanent=True)


def flattened(picture: Image.Image, background: str) -> Image.Image:
    """Return the picture without transparency, on a background colour like #ffffff."""
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, background)
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def keep_picture(request: Request, picture: Image.Image, *, file_format: str = "png", name: str = "") -> dict[str, Any]:
    """Store a picture and return its reference. `file_format` is a key of `MIME_TYPES`; JPEG loses transparency."""
    out = io.BytesIO()
    if file_format == "jpeg":
        flattened(picture, "#ffffff").save(out, "JPEG", quality=90, optimize=True)
    elif file_format == "webp":
        picture.save(out, "WEBP", quality=90)
    else:
        picture.save(out, "PNG", compress_level=6)
    return request.keep(out.getvalue(), mime_type=MIME_TYPES[file_format], name=f"{name}.{file_format}" if name else "")


def font(size: float) -> ImageFont.FreeTypeFont:
    """Return Pillow's own scalable font at a size in pixels. It has the letters of European languages."""
    loaded = ImageFont.load_default(size=size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return loaded


def wrapped(text: str, *, face: ImageFont.FreeTypeFont, width: float, max_lines: int) -> list[str]:
    """Break text into lines that fit a width in pixels; what exceeds `max_lines` ends in an ellipsis."""
    lines: list[str] = []
    for paragraph in "".join(letter if letter.isprintable() else "\n" if letter in "\r\n" else " " for letter in text).split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if face.getlength(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = _pieces(word, face=face, width=width)
            lines += full
            if len(lines) > max_lines:
                break
        if line:
            lines.append(line)
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        lines[-1] = _with_ellipsis(lines[-1], face=face, width=width)
    return lines


def _pieces(word: str, *, face: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Cut a word that is wider than the line."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and face.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _with_ellipsis(line: str, *, face: ImageFont.FreeTypeFont, width: float) -> str:
    while line and face.getlength(f"{line}\u2026") > width:
        line = line[:-1].rstrip()
    return f"{line}\u2026"
