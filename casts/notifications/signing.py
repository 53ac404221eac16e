"""The secrets that sign webhooks, and the signatures (Standard Webhooks, standardwebhooks.com).

A secret is needed in clear whenever something is signed, so it cannot be kept as a hash. It is kept encrypted by a key
that is derived from `DJANGO_SECRET_KEY`: whoever has the database alone, or a backup of it, cannot sign.
"""

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from standardwebhooks.webhooks import Webhook

from spells.problems import Problem, ProblemsError

PREFIX = "whsec_"
MADE_BYTES = 32
# What the specification asks for is 24 to 64; a shorter one that a client brings is its own affair, to a point.
LEAST_BYTES, MOST_BYTES = 16, 64


class InvalidSecretError(ProblemsError):
    """A secret that nothing can be signed with."""


class UnreadableSecretError(Exception):
    """The secret of this webhook was encrypted under another DJANGO_SECRET_KEY. Rotate it, or bring the key back as a fallback."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(MADE_BYTES)).decode()


def check_secret(text: str, *, path: str) -> None:
    """Return when something can be signed with a secret. Raises InvalidSecretError, whose words do not repeat it."""
    encoded = text.removeprefix(PREFIX)
    try:
        length = len(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)) if text.startswith(PREFIX) else 0
    except binascii.Error:
        length = 0
    if not LEAST_BYTES <= length <= MOST_BYTES:
        raise InvalidSecretError([Problem(path, f"is no secret: {PREFIX} and {LEAST_BYTES} to {MOST_BYTES} bytes in base64 are expected")])


def seal(secret: str) -> str:
    """Return a secret as it is kept."""
    return _cipher().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Return a secret in clear. Raises UnreadableSecretError."""
    try:
        return _cipher().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise UnreadableSecretError(UnreadableSecretError.__doc__) from error


def _cipher() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


@cache
def _fernet(key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"casts.notifications.signing").derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def headers(*, message_id: str, at: datetime, body: bytes, signing: Sequence[str]) -> dict[str, str]:
    """Return the headers that show a body to be ours: one signature for each of the secrets."""
    text = body.decode()
    signatures = [Webhook(secret).sign(message_id, at, text) for secret in signing]
    return {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": " ".join(signatures)}
