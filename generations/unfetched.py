"""Results whose files are not all here yet: what is kept of one until they are fetched, or for whoever fetches them by hand."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .embedded import is_data_uri
from .outputs import MAX_OUTPUT_BYTES, FilePlace, clean_text
from .tools.contract import Cost, RemoteFile, ToolError

MAX_URL_CHARACTERS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfetched:
    """A result of which files are missing, and why: a permanent error means that they are not tried for again.

    `left` is what a row keeps of it: the `output`, with references for the files that are here and null for the others;
    the `files` that are not, each with its place in the output (`at`), `url`, `name` and `mime_type`; and how many
    `bytes` were fetched. `cost` is None where it is not known, or was told before.
    """

    left: Mapping[str, Any]
    error: ToolError
    cost: Cost | None = None


def remains(
    output: dict[str, Any], places: Sequence[FilePlace], *, fetched_bytes: int, shrink: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Return what a row keeps of a result that lacks the files at these places, and whether it is enough to go on from.

    `shrink` makes large values small. What is too large for a row all the same is left out: the addresses alone stay.
    """
    files = [_shown(place) for place in places if not is_data_uri(place.file.url)]
    whole = {"output": output, "files": files, "bytes": fetched_bytes}
    if _size(whole) > MAX_OUTPUT_BYTES:
        rest = {name: value for name, value in output.items() if name not in {place.at[0] for place in places}}
        smaller = shrink(rest)
        whole["output"] = {**output, **smaller} if smaller.keys() == rest.keys() else output
    fits = _size(whole) <= MAX_OUTPUT_BYTES
    return whole if fits else {**whole, "output": {}}, fits and len(files) == len(places)


def restored(left: Mapping[str, Any]) -> tuple[dict[str, Any], list[FilePlace], int]:
    """Return an output as it was kept, the places in it that wait for files, and how many bytes of files it has."""
    output = copy.deepcopy(left["output"])
    places = []
    for told in left["files"]:
        *way, name = told["at"]
        holder = output
        for part in way:
            holder = holder[part]
        file = RemoteFile(url=told["url"], name=told["name"], mime_type=told["mime_type"])
        places.append(FilePlace(holder, name, file, tuple(told["at"])))
    return output, places, left["bytes"]


def _shown(place: FilePlace) -> dict[str, Any]:
    file = place.file
    texts = {"url": file.url[:MAX_URL_CHARACTERS], "name": file.name[:255], "mime_type": file.mime_type[:255]}
    return {"at": list(place.at), **{name: clean_text(text) for name, text in texts.items()}}


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
