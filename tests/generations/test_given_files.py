"""Files that go to a provider: their sizes are known from their records, and what is too large is never read."""

import asyncio
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from generations.artifacts import StoredArtifact
from generations.tools.contract import Request, ToolError
from generations.tools.given_files import GivenFile, with_files

from .toolbox import ask, keep, request_for


def huge(size: int, *, mime_type: str = "image/png") -> StoredArtifact:
    """Return the record of an artefact whose bytes are nowhere: whoever reads them fails otherwise than by their size."""
    return StoredArtifact(id=uuid7(), sha256="0" * 64, mime_type=mime_type, size=size)


def request_with(*files: StoredArtifact, **given: Any) -> Request:
    return request_for("fal", {"input": given}, config={"application": "a/b"}, readable={file.id: file for file in files})


def given(request: Request, *, max_bytes: int) -> Any:
    async def name_of(file: GivenFile) -> str:
        return file.mime_type

    return asyncio.run(with_files(request, request.inputs["input"], give=name_of, max_bytes=max_bytes))


def test_files_that_are_too_large_together_are_not_read():
    small, large = keep(b"x" * 600), huge(500)
    with pytest.raises(ToolError, match="larger than 1,000 bytes together") as raised:
        given(request_with(small, large, a=small.reference(), b=[large.reference()]), max_bytes=1000)
    assert (raised.value.code, raised.value.permanent) == ("too_large", True)


def test_a_file_that_stands_twice_counts_once():
    file = keep(b"x" * 600)
    assert given(request_with(file, a=file.reference(), b=file.reference()), max_bytes=1000) == {
        "a": "application/octet-stream",
        "b": "application/octet-stream",
    }


def test_one_that_is_not_theirs_is_told_before_any_is_read():
    large = huge(500)
    with pytest.raises(ToolError, match="No artefact") as raised:
        given(request_with(large, a=large.reference(), b=huge(1).reference()), max_bytes=1000)
    assert raised.value.code == "artifact_not_found"


def test_what_a_reference_says_of_a_size_counts_for_nothing():
    large = huge(5000)
    with pytest.raises(ToolError, match="larger than"):
        given(request_with(large, a={**large.reference(), "size": 1}), max_bytes=1000)


@pytest.mark.parametrize(
    ("slug", "inputs", "size"),
    [
        ("openai.chat", {"prompt": "x", "images": ["file"]}, 21 * 2**20),
        ("openai.image", {"prompt": "x", "images": ["file"]}, 51 * 2**20),
        ("openai.image", {"prompt": "x", "images": ["file"], "mask": "file"}, 26 * 2**20),
        ("json.query", {"value": "file", "query": "@"}, 60 * 2**20),
    ],
)
def test_tools_with_limits_of_their_own_look_at_the_size_first(slug, inputs, size):
    file = huge(size, mime_type="application/json" if slug == "json.query" else "image/png")
    placed = {name: _placed(value, file.reference()) for name, value in inputs.items()}
    config = None if slug == "json.query" else {"base_url": "http://127.0.0.1:1", "api_key_env": ""}
    with pytest.raises(ToolError) as raised:
        ask(request_for(slug, placed, config=config, readable={file.id: file}), "run")
    assert raised.value.code == "too_large"


def _placed(value: Any, reference: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_placed(inner, reference) for inner in value]
    return reference if value == "file" else value
