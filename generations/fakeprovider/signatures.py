"""Signatures as the providers make them."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks.webhooks import Webhook

# Makes the headers of one try, from its time and its body.
Signer = Callable[[datetime, bytes], Mapping[str, str]]


def unsigned(_at: datetime, _body: bytes) -> Mapping[str, str]:
    return {}


def standard_webhooks(secret: str, *, message_id: str) -> Signer:
    """Sign as Standard Webhooks says. The id stays the same over tries, the time does not."""

    def sign(at: datetime, body: bytes) -> Mapping[str, str]:
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(msg_id=message_id, timestamp=at, data=body.decode()),
        }

    return sign


def hmac_of_time_and_body(secret: str) -> Signer:
    """Sign as Lumen does: `sha256=` and the HMAC of the time, a dot and the body, in hexadecimal digits."""

    def sign(at: datetime, body: bytes) -> Mapping[str, str]:
        timestamp = str(int(at.timestamp()))
        made = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"X-Lumen-Timestamp": timestamp, "X-Lumen-Signature": f"sha256={made}"}

    return sign


class FalKey:
    """fal's key for webhooks: Ed25519, published as JWKS."""

    def __init__(self, seed: bytes) -> None:
        """Make the key that follows from 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        x = base64.urlsafe_b64encode(self.public).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": hashlib.sha256(self.public).hexdigest()[:16], "x": x}]}

    def signer(self, *, request_id: str, user_id: str) -> Signer:
        def sign(at: datetime, body: bytes) -> Mapping[str, str]:
            timestamp = str(int(at.timestamp()))
            message = "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()])
            return {
                "X-Fal-Webhook-Request-Id": request_id,
                "X-Fal-Webhook-User-Id": user_id,
                "X-Fal-Webhook-Timestamp": timestamp,
                "X-Fal-Webhook-Signature": self._key.sign(message.encode()).hex(),
            }

        return sign
