"""What the language models of the fake provider answer: invented from the question, the same each time."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from generations.tools.storytelling.story import Story, tell

MAX_DEPTH = 12
MAX_ITEMS = 12
FEW = 3
_TRANSLATE = re.compile(r"\btranslat\w*\b.*?\b(?:in)?to\s+([A-Za-z]{2,20})", re.IGNORECASE | re.DOTALL)
_SUMMARISE = re.compile(r"\bsummar", re.IGNORECASE)
_COUNT = re.compile(r"\b(\d{1,2}) (?:scenes|parts|items|pictures)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?]+[.!?]+")


def tokens(text: str) -> int:
    """Return how many tokens a text is counted as: a quarter of its characters."""
    return max(1, (len(text) + 3) // 4)


def answer(question: str, *, model: str) -> str:
    """Return an answer in text: a summary or a translation where one is asked for, else a little story, another by each model."""
    material = question.partition("\n\n")[2] or question
    if found := _TRANSLATE.search(question):
        return f"[{found[1].lower()}] {material.strip()}"
    if _SUMMARISE.search(question):
        sentences = _SENTENCE.findall(material) or [material]
        return " ".join(sentence.strip() for sentence in sentences[:2])
    return _story(question, model=model, count=1).scenes[0].text


def document(question: str, schema: Mapping[str, Any] | None, *, model: str) -> Any:
    """Return an answer in JSON, that fits a schema as far as plain types, enums, lengths and bounds go."""
    if schema is None:
        return {"answer": answer(question, model=model)}
    named = _COUNT.search(question)
    story = _story(question, model=model, count=min(MAX_ITEMS, max(1, int(named[1]))) if named else FEW)
    return _invented(schema, story, name="", place=0, depth=0, items=len(story.scenes))


def _story(question: str, *, model: str, count: int) -> Story:
    subject = re.search(r"\babout ([^.,\n]{3,80}?)(?= in \d|[.,\n]|$)", question)
    thing = re.search(r"\b(?:a|an|the) [a-z]{3,20}\b", question)
    theme = subject[1] if subject else thing[0] if thing else "a question"
    digest = hashlib.sha256(f"{model}\n{question}".encode(errors="replace")).digest()
    return tell(theme=theme.strip(), count=count, seed=int.from_bytes(digest[:4]))


def _invented(schema: Any, story: Story, *, name: str, place: int, depth: int, items: int) -> Any:  # noqa: PLR0911 - one return for each type
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return None
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][place % len(schema["enum"])]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        parts = schema.get("properties", {})
        return {each: _invented(part, story, name=each, place=place, depth=depth + 1, items=items) for each, part in parts.items()}
    if kind == "array":
        count = min(max(items, int(schema.get("minItems", 0))), int(schema.get("maxItems", MAX_ITEMS)), MAX_ITEMS)
        part = schema.get("items", {"type": "string"})
        return [_invented(part, story, name=name, place=number, depth=depth + 1, items=FEW) for number in range(count)]
    if kind in ("integer", "number"):
        least = schema.get("minimum", 0)
        return min(least + place + 1, schema.get("maximum", least + place + 1))
    if kind == "boolean":
        return place % 2 == 0
    return None if kind == "null" else _text(schema, story, name=name, place=place, depth=depth)


def _text(schema: Mapping[str, Any], story: Story, *, name: str, place: int, depth: int) -> str:
    scene = story.scenes[place % len(story.scenes)]
    short = "title" in name or "name" in name or "caption" in name
    text = (story.title if depth <= 1 else scene.title) if short else scene.text
    return text[: int(schema.get("maxLength", len(text)))].ljust(int(schema.get("minLength", 0)), ".")
