"""image.resize: another size or file format for a picture."""

from typing import Any, ClassVar

from PIL import Image, ImageOps

from .contract import Adapter, Request, Result, ToolDefinition
from .definition import EXAMPLE_IMAGE, artifact_schema, integer_schema, object_schema
from .pictures import FORMAT_SCHEMA, MAX_SIDE, keep_picture, read_picture


class ImageResize(Adapter):
    """Resizes a picture."""

    key = "image.resize"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="image.resize",
            name="Resize a picture",
            description=(
                "Brings a picture to another size: `fit` inside the box and keep its shape, `cover` the box and cut off what "
                "sticks out, or `exact` and stretch it. With only a width or only a height the other side follows."
            ),
            category="image",
            input_schema={
                **object_schema(
                    {
                        "image": artifact_schema("The picture.", kind="image"),
                        "width": integer_schema("Width in pixels.", minimum=1, maximum=MAX_SIDE),
                        "height": integer_schema("Height in pixels.", minimum=1, maximum=MAX_SIDE),
                        "mode": {
                            "type": "string",
                            "description": "What happens when the shapes differ.",
                            "enum": ["fit", "cover", "exact"],
                            "default": "fit",
                        },
                        "enlarge": {"type": "boolean", "description": "Let `fit` make small pictures larger.", "default": True},
                        "format": FORMAT_SCHEMA,
                    },
                    required=("image",),
                ),
                "anyOf": [{"required": ["width"]}, {"required": ["height"]}],
            },
            output_schema=object_schema(
                {
                    "image": artifact_schema("The resized picture.", kind="image"),
                    "width": integer_schema("Its width in pixels.", minimum=1, maximum=MAX_SIDE),
                    "height": integer_schema("Its height in pixels.", minimum=1, maximum=MAX_SIDE),
                },
                required=("image", "width", "height"),
            ),
            example={"image": EXAMPLE_IMAGE, "width": 200, "height": 200, "mode": "cover"},
        ),
    )

    def run(self, request: Request) -> Result:
        inputs = request.inputs
        resized = _resized(read_picture(request, inputs["image"]), inputs)
        image = keep_picture(request, resized, file_format=inputs["format"], name="resized")
        return Result(output={"image": image, "width": resized.width, "height": resized.height})


def _resized(picture: Image.Image, inputs: Any) -> Image.Image:
    ratio = picture.width / picture.height
    # A side that was left open follows the other, and never beyond what a picture may have.
    width = inputs.get("width") or _bounded(inputs["height"] * ratio)
    height = inputs.get("height") or _bounded(inputs["width"] / ratio)
    if inputs["mode"] == "cover":
        return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    if inputs["mode"] == "fit":
        scale = min(width / picture.width, height / picture.height)
        if not inputs["enlarge"]:
            scale = min(scale, 1.0)
        width, height = _bounded(picture.width * scale), _bounded(picture.height * scale)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _bounded(side: float) -> int:
    return min(max(1, round(side)), MAX_SIDE)
