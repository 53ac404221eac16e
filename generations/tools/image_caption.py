"""image.caption: words on a picture or below it."""

from typing import ClassVar

from PIL import Image, ImageDraw

from .contract import Adapter, Request, Result, ToolDefinition
from .definition import EXAMPLE_IMAGE, artifact_schema, object_schema, text_schema
from .pictures import COLOUR_PATTERN, FORMAT_SCHEMA, flattened, font, keep_picture, read_picture, wrapped

MAX_LINES = 8
MIN_LETTER_PIXELS = 9


class ImageCaption(Adapter):
    """Writes on a picture."""

    key = "image.caption"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="image.caption",
            name="Caption a picture",
            description=(
                "Writes a text on a strip below a picture, or over its upper or lower part on a shade that keeps it legible. "
                "Long texts are wrapped; past eight lines they end in an ellipsis. The font has the letters of European languages."
            ),
            category="image",
            input_schema=object_schema(
                {
                    "image": artifact_schema("The picture.", kind="image"),
                    "text": text_schema("What to write.", max_length=1000, minLength=1),
                    "position": {
                        "type": "string",
                        "description": "Where: on a strip below, or over the picture at its top or bottom.",
                        "enum": ["below", "bottom", "top"],
                        "default": "below",
                    },
                    "size": {
                        "type": "number",
                        "description": "Height of the letters, as a part of the picture's shorter side.",
                        "minimum": 0.02,
                        "maximum": 0.2,
                        "default": 0.05,
                    },
                    "colour": {
                        "type": "string",
                        "description": "Colour of the letters, like #ffffff. Left out: dark on the strip, white on the picture.",
                        "pattern": COLOUR_PATTERN,
                    },
                    "background": {
                        "type": "string",
                        "description": "Colour of the strip, or of the shade.",
                        "pattern": COLOUR_PATTERN,
                    },
                    "format": FORMAT_SCHEMA,
                },
                required=("image", "text"),
            ),
            output_schema=object_schema({"image": artifact_schema("The captioned picture.", kind="image")}, required=("image",)),
            example={"image": EXAMPLE_IMAGE, "text": "The night the lamp went out", "position": "bottom"},
        ),
    )

    def run(self, request: Request) -> Result:
        inputs = request.inputs
        picture = flattened(read_picture(request, inputs["image"]), "#ffffff")
        over = inputs["position"] != "below"
        captioned = _captioned(
            picture,
            inputs["text"],
            letters=max(MIN_LETTER_PIXELS, inputs["size"] * min(picture.size)),
            position=inputs["position"],
            colour=inputs.get("colour", "#ffffff" if over else "#22262b"),
            background=inputs.get("background", "#0b0e14" if over else "#f6f2e9"),
        )
        return Result(output={"image": keep_picture(request, captioned, file_format=inputs["format"], name="captioned")})


def _captioned(picture: Image.Image, text: str, *, letters: float, position: str, colour: str, background: str) -> Image.Image:
    face = font(letters)
    margin = round(letters * 0.9)
    lines = wrapped(text, face=face, width=max(letters, picture.width - 2 * margin), max_lines=MAX_LINES)
    line_height = round(letters * 1.35)
    band = len(lines) * line_height + 2 * margin
    if position == "below":
        sheet = Image.new("RGB", (picture.width, picture.height + band), background)
        sheet.paste(picture)
        top = picture.height
    else:
        sheet = picture.copy()
        band = min(band, picture.height)
        top = 0 if position == "top" else picture.height - band
        _shade(sheet, top=top, band=band, colour=background, fade_down=position == "top")
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((picture.width / 2, top + margin + (number + 0.5) * line_height), line, font=face, fill=colour, anchor="mm")
    return sheet


def _shade(sheet: Image.Image, *, top: int, band: int, colour: str, fade_down: bool) -> None:
    """Lay a shade over a band of the picture, solid behind the letters and fading into the picture."""
    reach = min(sheet.height, round(band * 1.5))
    ramp = Image.linear_gradient("L").resize((sheet.width, reach)).point(lambda value: min(205, value * 2))
    if fade_down:
        ramp = ramp.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    sheet.paste(Image.new("RGB", ramp.size, colour), (0, top if fade_down else top + band - reach), ramp)
