"""Which file of what a cast gave stands for a piece."""

from collections.abc import Iterator, Mapping
from typing import Any

from generations.artifacts import REFERENCE_KEY


def picture_of(outputs: Any) -> Mapping[str, Any] | None:
    """Return the reference of the first picture in outputs, or of the first file when there is no picture, or None.

    Outputs are gone through in the order of their names, lists from the front: databases keep names in orders of their own.
    """
    files = list(_references(outputs))
    pictures = [file for file in files if str(file.get("mime_type", "")).startswith("image/")]
    return next(iter(pictures or files), None)


def _references(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if isinstance(value.get(REFERENCE_KEY), str):
            yield value
            return
        for name in sorted(value):
            yield from _references(value[name])
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
