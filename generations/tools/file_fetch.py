"""file.fetch: a file from the web, kept as an artefact."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from generations.outputs import clean_text

from .configuration import read_config
from .contract import Adapter, Request, Result, ToolDefinition, ToolError
from .definition import artifact_schema, integer_schema, object_schema, text_schema
from .http_client import Outgoing, exchange
from .http_errors import said_elsewhere
from .threads import keep_async

UNKNOWN_TYPE = "application/octet-stream"
_MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")

# What a file's first bytes say counts more than what its server says.
_SIGNATURES: tuple[tuple[bytes, int, bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, b"", "image/png"),
    (b"\xff\xd8\xff", 0, b"", "image/jpeg"),
    (b"GIF8", 0, b"", "image/gif"),
    (b"RIFF", 8, b"WEBP", "image/webp"),
    (b"", 4, b"ftypavif", "image/avif"),
    (b"BM", 6, b"\0\0\0\0", "image/bmp"),
    (b"II*\0", 0, b"", "image/tiff"),
    (b"MM\0*", 0, b"", "image/tiff"),
    (b"%PDF-", 0, b"", "application/pdf"),
    (b"RIFF", 8, b"WAVE", "audio/wav"),
    (b"OggS", 0, b"", "audio/ogg"),
    (b"ID3", 0, b"", "audio/mpeg"),
    (b"", 4, b"ftyp", "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, b"", "video/webm"),
)
# Types that are told by their first bytes: a server that claims one for other bytes is wrong.
_TOLD_BY_BYTES = frozenset(mime_type for *_, mime_type in _SIGNATURES)


def mime_type_of(data: bytes, *, claimed: str) -> str:
    """Return the MIME type of a file: by its first bytes, else as its server claims, else unknown."""
    for start, offset, inner, mime_type in _SIGNATURES:
        if data.startswith(start) and data[offset : offset + len(inner)] == inner:
            return mime_type
    claimed = claimed.partition(";")[0].strip().lower()
    return claimed if _MIME_TYPE.fullmatch(claimed) and claimed not in _TOLD_BY_BYTES else UNKNOWN_TYPE


def matches(mime_type: str, wanted: list[str]) -> bool:
    """Tell whether a MIME type is one of those wanted, like image/png or image/*."""
    return any(mime_type == one or (one.endswith("/*") and mime_type.startswith(one[:-1])) for one in wanted)


class FileFetch(Adapter):
    """Downloads a file."""

    key = "file.fetch"
    config_schema: ClassVar[Mapping[str, Any]] = object_schema(
        {
            "allow_private_addresses": {"type": "boolean", "description": "Let it call this machine and its network.", "default": False},
            "max_bytes": integer_schema("The largest file that it keeps.", minimum=1, maximum=2**30, default=20 * 2**20),
        }
    )
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="file.fetch",
            name="Fetch a file",
            description=(
                "Downloads a file by http or https and keeps it. The type is read from its first bytes. Redirects are followed, "
                "five at most; addresses that are not on the public internet are refused at each."
            ),
            category="web",
            input_schema=object_schema(
                {
                    "url": text_schema("Where the file is.", max_length=2000, minLength=8),
                    "types": {
                        "type": "array",
                        "description": "MIME types that are accepted, like image/png or image/*. Left out: any.",
                        "items": {"type": "string", "pattern": "^[a-z]+/([a-z0-9.+-]+|\\*)$", "maxLength": 127},
                        "minItems": 1,
                        "maxItems": 20,
                    },
                    "max_bytes": integer_schema("The largest size accepted, in bytes.", minimum=1, maximum=2**30),
                },
                required=("url",),
            ),
            output_schema=object_schema(
                {
                    "file": artifact_schema("The file.", kind="file"),
                    "url": text_schema("Where it was in the end.", max_length=8000),
                },
                required=("file", "url"),
            ),
            example={"url": "https://example.com/lighthouse.png", "types": ["image/*"]},
        ),
    )

    async def run(self, request: Request) -> Result:
        config = read_config(request, self.config_schema)
        outgoing = Outgoing(
            method="GET",
            url=request.inputs["url"],
            max_bytes=min(config["max_bytes"], request.inputs.get("max_bytes", config["max_bytes"])),
            timeout_seconds=request.timeout_seconds,
            allow_private_addresses=config["allow_private_addresses"],
        )
        with said_elsewhere():
            answer = await exchange(outgoing)
            if not answer.is_success:
                raise answer.error()
        mime_type = mime_type_of(answer.body, claimed=answer.headers.get("content-type", ""))
        wanted = request.inputs.get("types")
        if wanted and not matches(mime_type, wanted):
            raise ToolError(f"The file is {mime_type}, not {' or '.join(wanted)}.", code="wrong_type", permanent=True)
        url = str(answer.url)
        name = clean_text(unquote(answer.url.path.rpartition("/")[2], errors="replace"))[:255]
        file = await keep_async(request, answer.body, mime_type=mime_type, name=name, source_url=url)
        return Result(output={"file": file, "url": url})
