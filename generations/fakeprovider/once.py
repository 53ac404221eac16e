"""One answer for all requests of one idempotency key, also when they come at once."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from .dialects import Call, Endpoint, Refused
from .files import parts_of

MAX_REMEMBERED = 20_000
MAX_REMEMBERED_BYTES = 64 * 2**20


@dataclass(slots=True)
class _Kept:
    digest: bytes
    answer: asyncio.Future[JSONResponse]
    size: int = 0


class Once:
    """Remembers answers by key, as many as weigh `MAX_REMEMBERED_BYTES` together, the newest. `weight` is what they weigh, in bytes."""

    def __init__(self) -> None:
        """Remember none yet."""
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self.weight = 0

    def each(self, dialect: str, do: Callable[[Call], Awaitable[JSONResponse]]) -> Endpoint:
        """Return the endpoint that does the work of a key once. A request without a key is one of its own.

        Those that wait for the first one share its refusal, too; then the key is free again.
        """

        async def handle(call: Call) -> Response:
            key = call.header("idempotency-key")
            if not key:
                return await do(call)
            digest = _digest(call)
            if known := self._kept.get((dialect, key)):
                if known.digest != digest:
                    raise Refused(HTTPStatus.BAD_REQUEST, "Keys for idempotent requests can only be used with the same parameters.")
                return _copied(await asyncio.shield(known.answer))
            kept = _Kept(digest, asyncio.get_running_loop().create_future())
            self._kept[dialect, key] = kept
            try:
                response = await do(call)
            except BaseException as error:
                self._fail(kept, (dialect, key), error)
                raise
            self._settle(kept, response)
            return _copied(response)

        return handle

    def _fail(self, kept: _Kept, place: tuple[str, str], error: BaseException) -> None:
        if self._kept.get(place) is kept:
            del self._kept[place]
        if isinstance(error, Exception):
            kept.answer.set_exception(error)
            kept.answer.exception()  # nobody may have waited for it
        else:
            kept.answer.cancel()

    def _settle(self, kept: _Kept, response: JSONResponse) -> None:
        kept.answer.set_result(response)
        kept.size = len(response.body)
        self.weight += kept.size
        while self.weight > MAX_REMEMBERED_BYTES or len(self._kept) > MAX_REMEMBERED:
            place = next((place for place, each in self._kept.items() if each.answer.done()), None)
            if place is None:
                return
            self.weight -= self._kept.pop(place).size


def _digest(call: Call) -> bytes:
    """Return what two requests have in common that ask for the same: of a form its parts, without the boundary between them."""
    said: list[bytes] = [call.request.url.path.encode()]
    if call.header("content-type").startswith("multipart/form-data"):
        for part in parts_of(call):
            said += [part.name.encode(), part.filename.encode(), part.data]
    else:
        said.append(call.raw)
    return hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in said)).digest()


def _copied(response: JSONResponse) -> Response:
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(bytes(response.body), status_code=response.status_code, headers=headers)
