"""fal's signature of webhooks: Ed25519, by keys that fal publishes and changes."""

import asyncio
import base64
import binascii
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, Field

from .contract import CallbackRefusedError, Delivery, ToolError
from .provider_answers import read_as
from .provider_api import ProviderApi

TOLERANCE_SECONDS = 300
KEYS_LIVE_SECONDS = 24 * 3600.0
# A signature by a key that we do not know may be by one that is new: worth a question, but not each time.
ASK_AGAIN_SECONDS = 60.0
ASK_AGAIN_AFTER_FAILURE_SECONDS = 10.0
FETCH_SECONDS = 5.0
MAX_KEYS_BYTES = 64 * 1024
MAX_KEYS = 20
MAX_SOURCES = 32
_MAX_HEADER_CHARACTERS = 300


class _Key(BaseModel):
    x: str = Field(default="", max_length=100)
    kty: str = Field(default="OKP", max_length=20)


class _KeySet(BaseModel):
    keys: list[_Key] = Field(max_length=MAX_KEYS)


@dataclass(slots=True)
class KeySource:
    """The keys at one address, as they were when they last came. Times are of the monotonic clock.

    `failure` says why they did not come when they were last asked for; None if they did.
    """

    url: str
    keys: Sequence[Ed25519PublicKey] = ()
    fetched_at: float = -KEYS_LIVE_SECONDS
    asked_at: float = -ASK_AGAIN_SECONDS
    failure: str | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> Sequence[Ed25519PublicKey]:
        """Return the keys that we have, if they are not too old."""
        return self.keys if time.monotonic() - self.fetched_at < KEYS_LIVE_SECONDS else ()

    def renewed(self) -> Sequence[Ed25519PublicKey]:
        """Ask for the keys and return them. Blocks.

        They are not asked for if they came within the last minute, or failed to come within the last ten seconds:
        whoever sends forged webhooks makes us ask no more often.

        Raises:
            ToolError: they cannot be had now. A signature that older ones did not make may be by one that is new.
        """
        with self._asking:
            pause = ASK_AGAIN_SECONDS if self.failure is None else ASK_AGAIN_AFTER_FAILURE_SECONDS
            if time.monotonic() - self.asked_at >= pause:
                self._ask()
            if self.failure is not None:
                raise ToolError(f"The keys of webhooks cannot be had: {self.failure}", code="no_keys")
            return self.keys

    def _ask(self) -> None:
        self.asked_at, self.failure = time.monotonic(), "nobody answered."
        try:
            self.keys = asyncio.run(_fetched(self.url))
        except ToolError as error:
            self.failure = error.message
        else:
            self.fetched_at, self.failure = time.monotonic(), None


async def _fetched(url: str) -> list[Ed25519PublicKey]:
    api = ProviderApi(base_url=url, timeout_seconds=FETCH_SECONDS)
    answer = await api.send("GET", url, max_bytes=MAX_KEYS_BYTES)
    told = read_as(_KeySet, api.json_of(answer), host=api.host, what="set of keys")
    keys = [key for each in told.keys if each.kty == "OKP" and (key := _key(each.x))]
    if not keys:
        raise ToolError(f"{api.host} tells of no key that could sign webhooks.", code="bad_answer")
    return keys


def _key(x: str) -> Ed25519PublicKey | None:
    """Return a key from its base64url form; None for what is none, like a key for another kind of signature."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
    except (ValueError, binascii.Error):
        return None


_sources: OrderedDict[str, KeySource] = OrderedDict()
_sources_lock = threading.Lock()


def source_of(url: str) -> KeySource:
    """Return what this process knows of the keys at an address. Those of the least used address are forgotten."""
    with _sources_lock:
        source = _sources.setdefault(url, KeySource(url))
        _sources.move_to_end(url)
        while len(_sources) > MAX_SOURCES:
            _sources.popitem(last=False)
        return source


async def verify(delivery: Delivery, *, keys_url: str) -> str:
    """Return the id of a delivery that fal signed within five minutes of now.

    Raises:
        CallbackRefusedError: it was not. ToolError: the keys to tell by cannot be had now.
    """
    names = ("request-id", "user-id", "timestamp", "signature")
    request_id, user_id, timestamp, signature = (delivery.headers.get(f"x-fal-webhook-{name}", "") for name in names)
    if not all(0 < len(text) <= _MAX_HEADER_CHARACTERS for text in (request_id, user_id, timestamp, signature)):
        raise CallbackRefusedError("The webhook is not signed.")
    _check_time(timestamp)
    signed = _Signed(
        message="\n".join([request_id, user_id, timestamp, hashlib.sha256(delivery.body).hexdigest()]).encode(errors="surrogateescape"),
        signature=_bytes_of(signature),
    )
    source = source_of(keys_url)
    if signed.holds_by(source.current()):
        return request_id
    if not signed.holds_by(await asyncio.to_thread(source.renewed)):
        raise CallbackRefusedError("The webhook's signature does not hold.")
    return request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    message: bytes
    signature: bytes

    def holds_by(self, keys: Sequence[Ed25519PublicKey]) -> bool:
        """Tell whether any of the keys made the signature."""
        return any(self._is_by(key) for key in keys)

    def _is_by(self, key: Ed25519PublicKey) -> bool:
        try:
            key.verify(self.signature, self.message)
        except InvalidSignature:
            return False
        return True


def _check_time(timestamp: str) -> None:
    if not timestamp.isascii() or not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        raise CallbackRefusedError("The webhook was signed at another time.")


def _bytes_of(signature: str) -> bytes:
    try:
        return bytes.fromhex(signature)
    except ValueError as error:
        raise CallbackRefusedError("The webhook's signature is not hexadecimal.") from error
