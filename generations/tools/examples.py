"""The tools that the example spells use beside those of the adapters: models of real providers, each a tool of its own.

They show how an operator adds a model: another row with the same adapter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import registry
from .definition import ToolDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleTool:
    """A tool like `of`, which its adapter declares, but with another name and another config."""

    slug: str
    adapter: str
    of: str
    name: str
    description: str
    config: Mapping[str, Any]


EXAMPLES = (
    ExampleTool(
        slug="openai.gpt-4.1-mini",
        adapter="openai.chat",
        of="openai.chat",
        name="Ask GPT-4.1 mini",
        description="Asks GPT-4.1 mini at OpenAI. Takes and gives what `openai.chat` does.",
        config={"model": "gpt-4.1-mini"},
    ),
    ExampleTool(
        slug="replicate.llama-3-8b",
        adapter="replicate",
        of="replicate",
        name="Ask Llama 3",
        description="Asks Llama 3 (8B, instructed) at Replicate. Its `output` is the answer in pieces.",
        config={"model": "meta/meta-llama-3-8b-instruct"},
    ),
    ExampleTool(
        slug="replicate.flux-schnell",
        adapter="replicate",
        of="replicate",
        name="Paint with FLUX schnell",
        description="Paints a picture from a prompt in a few seconds, with FLUX schnell at Replicate.",
        config={"model": "black-forest-labs/flux-schnell"},
    ),
    ExampleTool(
        slug="replicate.upscale",
        adapter="replicate",
        of="replicate",
        name="Enlarge a picture",
        description="Enlarges a picture and keeps it crisp, with Recraft's upscaler at Replicate.",
        config={"model": "recraft-ai/recraft-crisp-upscale"},
    ),
)


def example_definitions() -> Iterator[tuple[str, ToolDefinition]]:
    """Yield the definition of each example, with the key of its adapter."""
    for example in EXAMPLES:
        like = next(each for each in registry.get(example.adapter).definitions if each.slug == example.of)
        config = {**like.config, **example.config}
        yield example.adapter, replace(like, slug=example.slug, name=example.name, description=example.description, config=config)
