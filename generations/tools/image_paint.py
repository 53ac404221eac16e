"""image.paint: a picture of its own making, without any model or network."""

from typing import ClassVar

from .contract import Adapter, Request, Result, ToolDefinition
from .definition import SEED_SCHEMA, artifact_schema, integer_schema, object_schema, text_schema
from .painting.composition import STYLES, paint


class ImagePaint(Adapter):
    """Paints what a prompt asks for, procedurally."""

    key = "image.paint"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="image.paint",
            name="Paint a picture",
            description=(
                "Paints a picture from a prompt and a seed: landscapes with sea, mountains, forests, deserts or cities, in the "
                "hour and weather that the prompt names; space; streams of strokes; geometry. It knows English words for them, "
                "draws what they leave open, and needs no model and no network. The same prompt and seed give the same picture."
            ),
            category="image",
            input_schema=object_schema(
                {
                    "prompt": text_schema("What to paint, in English words.", max_length=4000, minLength=1),
                    "seed": SEED_SCHEMA,
                    "width": integer_schema("Width in pixels.", minimum=64, maximum=2048, default=768),
                    "height": integer_schema("Height in pixels.", minimum=64, maximum=2048, default=512),
                    "style": {
                        "type": "string",
                        "description": "What kind of picture; auto leaves it to the prompt and the seed.",
                        "enum": ["auto", *STYLES],
                        "default": "auto",
                    },
                },
                required=("prompt",),
            ),
            output_schema=object_schema(
                {
                    "image": artifact_schema("The picture, a PNG.", kind="image"),
                    "style": {"type": "string", "description": "What kind of picture it became.", "enum": list(STYLES)},
                    "palette": {"type": "string", "description": "The name of its colours."},
                },
                required=("image", "style", "palette"),
            ),
            example={"prompt": "A lighthouse keeper watches a storm over the sea at night", "seed": 7, "width": 384, "height": 256},
        ),
    )

    def run(self, request: Request) -> Result:
        inputs = request.inputs
        painting = paint(
            prompt_text=inputs["prompt"],
            seed=inputs["seed"],
            width=inputs["width"],
            height=inputs["height"],
            style=None if inputs["style"] == "auto" else inputs["style"],
        )
        image = request.keep(painting.png, mime_type="image/png", name="painting.png")
        return Result(output={"image": image, "style": painting.style, "palette": painting.palette})
