"""http.job: signatures of webhooks, as the configuration says that the provider makes them."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

from .configuration import read_secret
from .contract import CallbackRefusedError, Delivery, ToolError
from .http_job_config import HMAC, STANDARD_WEBHOOKS
from .standard_webhooks import MAX_ID_CHARACTERS, MAX_SIGNATURES
from .standard_webhooks import verify as verify_standard

TOLERANCE_SECONDS = 300


def verify(delivery: Delivery, *, signature: Mapping[str, Any]) -> str:
    """Return the sender's id of a delivery that was signed as it should be; empty where it has none.

    Raises:
        CallbackRefusedError: it was not.
    """
    if signature["kind"] == STANDARD_WEBHOOKS:
        return verify_standard(delivery, secret_env=signature["secret_env"])
    if signature["kind"] == HMAC:
        _verify_hmac(delivery, signature)
    return delivery.headers.get(signature["id_header"].lower(), "")[:MAX_ID_CHARACTERS]


def _verify_hmac(delivery: Delivery, signature: Mapping[str, Any]) -> None:
    try:
        secret = read_secret(signature["secret_env"], tool=delivery.tool).encode()
    except ToolError as error:
        raise CallbackRefusedError(error.message) from error
    sent = delivery.headers.get(signature["header"].lower(), "")[:2000].replace(",", " ").split()
    wanted = hmac.new(secret, _signed(delivery, signature), hashlib.sha256).digest()
    signatures = [_bytes_of(text.removeprefix(signature["prefix"]), signature["encoding"]) for text in sent[:MAX_SIGNATURES]]
    if not any(hmac.compare_digest(wanted, made) for made in signatures):
        raise CallbackRefusedError("The webhook's signature does not hold." if sent else "The webhook is not signed.")


def _signed(delivery: Delivery, signature: Mapping[str, Any]) -> bytes:
    """Return what the signature is over: the body, after the time if that is signed, too."""
    if not signature["timestamp_header"]:
        return delivery.body
    timestamp = delivery.headers.get(signature["timestamp_header"].lower(), "")[:20]
    if not timestamp.isascii() or not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        raise CallbackRefusedError("The webhook was signed at another time.")
    return timestamp.encode() + b"." + delivery.body


def _bytes_of(text: str, encoding: str) -> bytes:
    """Return a signature; nothing, which no signature is, for what is not written as it should be."""
    try:
        return bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
