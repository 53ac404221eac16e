"""image.contact_sheet: many pictures on one page."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from .contract import Adapter, Request, Result, ToolDefinition, ToolError
from .definition import EXAMPLE_IMAGE, artifact_schema, integer_schema, object_schema, text_schema
from .pictures import COLOUR_PATTERN, FORMAT_SCHEMA, MAX_SIDE, flattened, font, keep_picture, read_picture, wrapped

MAX_IMAGES = 60
MAX_CAPTION_LINES = 9
ONE_ROW = 3
LINE_HEIGHT = 1.35


class ImageContactSheet(Adapter):
    """Lays pictures out on a page."""

    key = "image.contact_sheet"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="image.contact_sheet",
            name="Make a contact sheet",
            description="Lays pictures out in rows on one page, with margins, and a title and captions if there are any.",
            category="image",
            input_schema=object_schema(
                {
                    "images": {
                        "type": "array",
                        "description": "The pictures, in order. A null, as from a step that was skipped, is left out with its caption.",
                        "items": {"anyOf": [artifact_schema("A picture.", kind="image"), {"type": "null"}]},
                        "minItems": 1,
                        "maxItems": MAX_IMAGES,
                    },
                    "captions": {
                        "type": "array",
                        "description": "What to write below each picture, in the same order.",
                        "items": {
                            "anyOf": [text_schema("A caption; past nine lines it ends in an ellipsis.", max_length=2000), {"type": "null"}]
                        },
                        "maxItems": MAX_IMAGES,
                        "default": [],
                    },
                    "title": text_schema("What to write at the top.", max_length=300, default=""),
                    "columns": integer_schema("Pictures in a row; 0: as many as look well.", minimum=0, maximum=12, default=0),
                    "width": integer_schema("Width of the page in pixels.", minimum=320, maximum=MAX_SIDE, default=1600),
                    "background": {
                        "type": "string",
                        "description": "Colour of the page.",
                        "pattern": COLOUR_PATTERN,
                        "default": "#f6f2e9",
                    },
                    "format": FORMAT_SCHEMA,
                },
                required=("images",),
            ),
            output_schema=object_schema(
                {
                    "image": artifact_schema("The page.", kind="image"),
                    "count": integer_schema("How many pictures are on it.", minimum=1, maximum=MAX_IMAGES),
                },
                required=("image", "count"),
            ),
            example={"images": [EXAMPLE_IMAGE] * 3, "captions": ["Dawn", "Noon", "Dusk"], "title": "A day by the sea", "width": 640},
            run_timeout_seconds=120,
        ),
    )

    def run(self, request: Request) -> Result:
        inputs = request.inputs
        captions = [*inputs["captions"], *[None] * MAX_IMAGES]
        chosen = [(image, caption or "") for image, caption in zip(inputs["images"], captions, strict=False) if image]
        if not chosen:
            raise ToolError("All of `images` are null: there is nothing to show.", code="no_images", permanent=True)
        page = _page(request, chosen, inputs)
        return Result(output={"image": keep_picture(request, page, file_format=inputs["format"], name="sheet"), "count": len(chosen)})


@dataclass(frozen=True)
class _Layout:
    """Where things go on a page, in pixels."""

    columns: int
    margin: int
    gap: int
    cell: tuple[int, int]
    letters: float
    caption_height: int
    title_height: int

    def corner(self, index: int) -> tuple[int, int]:
        row, column = divmod(index, self.columns)
        x = self.margin + column * (self.cell[0] + self.gap)
        y = self.margin + self.title_height + row * (self.cell[1] + self.caption_height + self.gap)
        return x, y


def _page(request: Request, chosen: list[tuple[Any, str]], inputs: Mapping[str, Any]) -> Image.Image:
    background, width = inputs["background"], inputs["width"]
    dark = sum(int(background[place : place + 2], 16) for place in (1, 3, 5)) < 3 * 128
    ink = "#f2efe8" if dark else "#22262b"
    columns = min(inputs["columns"] or _columns(len(chosen)), len(chosen))
    largest = (width // columns, MAX_SIDE)
    pictures = []
    for image, _ in chosen:  # one after the other: only the small copies stay in memory
        picture = flattened(read_picture(request, image), background)
        picture.thumbnail(largest, Image.Resampling.LANCZOS)
        pictures.append(picture)
    shape = median(picture.width / picture.height for picture in pictures)
    captions = [text for _, text in chosen]
    layout = _layout(columns, width=width, shape=shape, captions=captions, title=bool(inputs["title"].strip()))
    rows = math.ceil(len(chosen) / columns)
    bottom = layout.corner((rows - 1) * columns)[1] + layout.cell[1] + layout.caption_height + layout.margin
    if bottom > 4 * MAX_SIDE:
        raise ToolError(f"The page would be {bottom} pixels high; use more columns.", code="too_large", permanent=True)
    page = Image.new("RGB", (width, bottom), background)
    if layout.title_height:
        face = font(layout.letters * 2)
        line = wrapped(inputs["title"], face=face, width=width - 2 * layout.margin, max_lines=1)[0]
        middle = layout.margin + (layout.title_height - layout.gap) / 2
        ImageDraw.Draw(page).text((width / 2, middle), line, font=face, fill=ink, anchor="mm")
    for index, (picture, (_, caption)) in enumerate(zip(pictures, chosen, strict=True)):
        _mount(page, picture, caption, corner=layout.corner(index), layout=layout, ink=ink)
    return page


def _columns(count: int) -> int:
    """Return how many pictures go in a row: all of a few, else about a square, without a lonely last one."""
    if count <= ONE_ROW:
        return count
    square = math.ceil(math.sqrt(count))
    return min((square, square + 1, square - 1), key=lambda columns: -count % columns)


def _layout(columns: int, *, width: int, shape: float, captions: list[str], title: bool) -> _Layout:
    margin = max(12, round(width * 0.035))
    gap = max(8, round(width * 0.022))
    cell_width = max(16, (width - 2 * margin - (columns - 1) * gap) // columns)
    letters = max(9.0, min(width * 0.013, cell_width * 0.06))
    face = font(letters)
    lines = max(len(wrapped(text, face=face, width=cell_width, max_lines=MAX_CAPTION_LINES)) for text in captions)
    return _Layout(
        columns=columns,
        margin=margin,
        gap=gap,
        cell=(cell_width, max(16, round(cell_width / min(max(shape, 0.3), 4)))),
        letters=letters,
        caption_height=round(letters * (LINE_HEIGHT * lines + 0.8)) if lines else 0,
        title_height=round(letters * 3.2) + gap if title else 0,
    )


def _mount(page: Image.Image, picture: Image.Image, caption: str, *, corner: tuple[int, int], layout: _Layout, ink: str) -> None:
    """Put a picture into its cell, with a soft shadow under it and its caption below."""
    fitted = ImageOps.contain(picture, layout.cell, Image.Resampling.LANCZOS)
    x = corner[0] + (layout.cell[0] - fitted.width) // 2
    y = corner[1] + (layout.cell[1] - fitted.height) // 2
    soft = max(2, layout.gap // 4)
    shadow = Image.new("L", (fitted.width + 4 * soft, fitted.height + 4 * soft))
    shadow.paste(90, (2 * soft, 2 * soft, 2 * soft + fitted.width, 2 * soft + fitted.height))
    page.paste("#000000", (x - 2 * soft, y - 2 * soft + soft // 2), shadow.filter(ImageFilter.GaussianBlur(soft)))
    page.paste(fitted, (x, y))
    face = font(layout.letters)
    for number, line in enumerate(wrapped(caption, face=face, width=layout.cell[0], max_lines=MAX_CAPTION_LINES)):
        below = corner[1] + layout.cell[1] + layout.letters * (LINE_HEIGHT * (number + 0.5) + 0.6)
        ImageDraw.Draw(page).text((corner[0] + layout.cell[0] / 2, below), line, font=face, fill=ink, anchor="mm")
