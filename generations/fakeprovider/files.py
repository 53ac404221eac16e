"""Files that a client uploads, and what models make: pictures, texts, pictures enlarged."""

import base64
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from . import words
from .answers import answer
from .dialects import Call, Refused
from .jobs import Job
from .pictures import Shelf, shaped, size_of, whole

MAX_UPLOADS = 10_000
MAX_OUTPUTS = 8
_ENLARGES = re.compile(r"upscal|esrgan|enlarge|super-resolution", re.IGNORECASE)
_WRITES = re.compile(r"llama|instruct|chat|gpt|mistral|-llm|claude", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a multipart form."""

    name: str
    filename: str
    mime_type: str
    data: bytes


def parts_of(call: Call) -> list[Part]:
    """Return the parts of a multipart form. Raises Refused when it is none."""
    kind = call.header("content-type")
    if not kind.startswith("multipart/form-data"):
        raise Refused(HTTPStatus.BAD_REQUEST, "Expected multipart/form-data.")
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + call.raw)
    found = []
    for part in message.iter_parts():
        data = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and isinstance(data, bytes):
            found.append(Part(name=name, filename=part.get_filename() or "", mime_type=part.get_content_type(), data=data))
    return found


class Uploads:
    """Files by id, as Replicate's files API shows them. The oldest go first."""

    def __init__(self, shelf: Shelf, *, path: str) -> None:
        """Take where the bytes are kept, and the address below which files are asked for."""
        self._shelf = shelf
        self._path = path
        self._shown: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._kept_at: dict[str, str] = {}

    async def create(self, call: Call) -> Response:
        content = next((part for part in parts_of(call) if part.name == "content"), None)
        if content is None:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "- content is required\n")
        file_id = secrets.token_urlsafe(24)
        digest = sha256(content.data).hexdigest()
        self._kept_at[file_id] = self._shelf.put_bytes(content.data, mime_type=content.mime_type, name=content.filename or "file")
        self._shown[file_id] = {
            "id": file_id,
            "name": content.filename,
            "content_type": content.mime_type,
            "size": len(content.data),
            "etag": digest[:32],
            "checksums": {"sha256": digest},
            "metadata": {},
            "created_at": datetime.now(UTC).isoformat(),
            "expires_at": None,
            "urls": {"get": f"{call.origin}{self._path}/{file_id}"},
        }
        while len(self._shown) > MAX_UPLOADS:
            self._kept_at.pop(self._shown.popitem(last=False)[0])
        return answer(self._shown[file_id], HTTPStatus.CREATED)

    async def list(self, _call: Call) -> Response:
        return answer({"previous": None, "next": None, "results": list(self._shown.values())})

    async def get(self, call: Call) -> Response:
        return answer(self._one(call))

    async def delete(self, call: Call) -> Response:
        file_id = self._one(call)["id"]
        del self._shown[file_id], self._kept_at[file_id]
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _one(self, call: Call) -> dict[str, Any]:
        if call.path("id") not in self._shown:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such file.")
        return self._shown[call.path("id")]

    def data(self, url: str) -> bytes | None:
        """Return the bytes of a file by its address, or None."""
        kept_at = self._kept_at.get(url.rpartition("/")[2])
        return self._shelf.by_url(kept_at) if kept_at else None


def model_output(job: Job, *, shelf: Shelf, painted: bool, uploads: Uploads | None = None) -> Any:
    """Return what a model makes, by its name: an enlarged picture, a text in pieces, else pictures. Files by their addresses.

    Raises:
        ValueError: an input picture cannot be read.
    """
    if is_enlarger(job.order.model):
        return job.order.origin + enlarged_path(job, shelf=shelf, uploads=uploads)
    if is_writer(job.order.model):
        return re.findall(r"\S+\s*", words.answer(str(job.order.inputs.get("prompt", "")), model=job.order.model))
    return picture_urls(job, shelf=shelf, painted=painted)


def is_enlarger(model: str) -> bool:
    return _ENLARGES.search(model) is not None


def is_writer(model: str) -> bool:
    return _WRITES.search(model) is not None


def picture_urls(job: Job, *, shelf: Shelf, painted: bool) -> list[str]:
    """Promise as many pictures as the inputs ask for (`num_outputs`), and return their addresses."""
    inputs, origin = job.order.inputs, job.order.origin
    prompt = str(inputs.get("prompt", ""))
    shape = shaped(inputs.get("aspect_ratio"), side=512)
    size = size_of(inputs.get("size"), otherwise=(whole(inputs.get("width"), shape[0]), whole(inputs.get("height"), shape[1])))
    count = max(1, min(MAX_OUTPUTS, whole(inputs.get("num_outputs", 1), 1)))
    seed = whole(inputs.get("seed"), job.number)
    return [origin + shelf.put_picture(prompt=prompt, seed=seed + each, size=size, painted=painted) for each in range(count)]


def enlarged_path(job: Job, *, shelf: Shelf, uploads: Uploads | None = None) -> str:
    """Return the path of the input picture, enlarged by `scale`. Raises ValueError when it cannot be read."""
    inputs = job.order.inputs
    url = next((value for name in ("image", "image_url", "input_image") if isinstance(value := inputs.get(name), str)), "")
    data = input_bytes(url, shelf=shelf, uploads=uploads)
    if data is None:
        raise ValueError(f"The input image cannot be fetched: {url[:200] or 'there is none'}")
    scale = max(1, min(8, whole(inputs.get("scale", inputs.get("upscaling_factor", 2)), 2)))
    return shelf.put_enlarged(data, scale=scale)


def input_bytes(url: str, *, shelf: Shelf, uploads: Uploads | None = None) -> bytes | None:
    """Return the bytes of an input: a `data:` URI, a file that was uploaded, or a file of ours. Others are not fetched."""
    if url.startswith("data:"):
        try:
            return base64.b64decode(url.partition(",")[2], validate=True)
        except ValueError as error:
            raise ValueError(f"The data: URI cannot be read: {error}") from error
    return (uploads.data(url) if uploads else None) or shelf.by_url(url)
