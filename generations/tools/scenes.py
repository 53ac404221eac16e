"""text.scenes: a story in scenes, told by a grammar instead of a model."""

from typing import ClassVar

from .contract import Adapter, Request, Result, ToolDefinition
from .definition import SEED_SCHEMA, integer_schema, object_schema, text_schema
from .storytelling.story import tell

MAX_SCENES = 24


class TextScenes(Adapter):
    """Tells a story."""

    key = "text.scenes"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="text.scenes",
            name="Tell a story in scenes",
            description=(
                "Tells a short English story about a theme, scene by scene, by a story grammar: no model, no network. Whoever the theme "
                "names is its hero. The same theme, count and seed tell the same story; another seed tells another."
            ),
            category="text",
            input_schema=object_schema(
                {
                    "theme": text_schema("What the story is about, like a lighthouse keeper.", max_length=200, minLength=1),
                    "count": integer_schema("How many scenes it has.", minimum=1, maximum=MAX_SCENES, default=3),
                    "seed": SEED_SCHEMA,
                },
                required=("theme",),
            ),
            output_schema=object_schema(
                {
                    "title": {"type": "string", "description": "The title of the story."},
                    "hero": {"type": "string", "description": "Who it is about."},
                    "scenes": {
                        "type": "array",
                        "description": "The scenes, in order.",
                        "items": object_schema(
                            {
                                "title": {"type": "string", "description": "The title of the scene."},
                                "text": {
                                    "type": "string",
                                    "description": "What happens, in a few sentences. Names hour, place and weather.",
                                },
                                "mood": {"type": "string", "description": "calm, uneasy, hopeful, warm, curious, brave, dark or wonder."},
                            },
                            required=("title", "text", "mood"),
                        ),
                        "minItems": 1,
                        "maxItems": MAX_SCENES,
                    },
                },
                required=("title", "hero", "scenes"),
            ),
            example={"theme": "a lighthouse keeper", "count": 3, "seed": 7},
        ),
    )

    def run(self, request: Request) -> Result:
        story = tell(theme=request.inputs["theme"], count=request.inputs["count"], seed=request.inputs["seed"])
        scenes = [{"title": scene.title, "text": scene.text, "mood": scene.mood} for scene in story.scenes]
        return Result(output={"title": story.title, "hero": story.hero, "scenes": scenes})
