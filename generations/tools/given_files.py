"""Files that go to a provider: artefacts that stand by reference in the inputs, made into what the provider takes."""

import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2

from generations.artifacts import REFERENCE_KEY

from .contract import Request, ToolError
from .file_fetch import mime_type_of
from .threads import read_async

# As Replicate advises; others take more.
SMALL_BYTES = 256 * 1024
# They are in memory at once.
MAX_GIVEN_BYTES = 100 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFile:
    """The bytes of an artefact, with a type that they have or are said to have."""

    data: bytes
    mime_type: str
    name: str

    def data_uri(self) -> str:
        return f"data:{self.mime_type};base64,{base64.b64encode(self.data).decode()}"


Give = Callable[[GivenFile], Awaitable[Any]]


async def with_files(request: Request, value: Any, *, give: Give, max_bytes: int = MAX_GIVEN_BYTES) -> Any:
    """Return a copy of a JSON value in which what `give` returns stands for each reference to an artefact.

    An artefact that is named twice is given once. `max_bytes` bounds all of them together; if they are larger, none is read.

    Raises:
        ToolError: permanent: an artefact is not the initiator's (`artifact_not_found`), or they are too large.
    """
    wanted: dict[UUID, Mapping[str, Any]] = {}
    for reference in _references(value):
        wanted.setdefault(UUID(reference[REFERENCE_KEY]), reference)
    if sum(request.size_of(reference) for reference in wanted.values()) > max_bytes:
        raise ToolError(f"The files of the inputs are larger than {max_bytes:,} bytes together.", code="too_large", permanent=True)
    given: dict[UUID, Any] = {}
    for id_, reference in wanted.items():
        data = await read_async(request, reference)
        mime_type = mime_type_of(data, claimed=str(reference.get("mime_type", "")))
        given[id_] = await give(GivenFile(data=data, mime_type=mime_type, name=_name(id_, mime_type)))
    return _replaced(value, given)


def _name(id_: UUID, mime_type: str) -> str:
    """Return a file name by which a provider sees the type: some look at nothing else."""
    kind = mime_type.partition("/")[2]
    ending = {"jpeg": "jpg", "mpeg": "mp3", "plain": "txt", "octet-stream": "bin", "svg+xml": "svg"}.get(kind, kind)
    return f"{id_}.{ending}"


def _is_reference(value: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(value.get(REFERENCE_KEY), str):
        return False
    try:
        UUID(value[REFERENCE_KEY])
    except ValueError:
        return False
    return True


def _references(value: Any) -> Iterator[Mapping[str, Any]]:
    # Inputs have passed a bound on their depth.
    if _is_reference(value):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _references(inner)


def _replaced(value: Any, given: Mapping[UUID, Any]) -> Any:
    if _is_reference(value):
        return given[UUID(value[REFERENCE_KEY])]
    if isinstance(value, Mapping):
        return {name: _replaced(inner, given) for name, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, given) for inner in value]
    return value


def multipart(field: str, file: GivenFile, **values: str) -> tuple[bytes, dict[str, str]]:
    """Return the body of an upload form with one file and other fields, and its headers."""
    form = httpx2.Request("POST", "http://form.invalid/", data=values, files={field: (file.name, file.data, file.mime_type)})
    return form.read(), {"Content-Type": form.headers["content-type"]}


@contextmanager
def free_of_charge() -> Iterator[None]:
    """Make the errors of a request definite which, made twice, does no harm: one for an upload, not for the call itself."""
    try:
        yield
    except ToolError as error:
        error.ambiguous = False
        raise
