"""Where providers tell us of a job: an address that names its generation, signed, so that nobody can guess another's."""

from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer

PATH = "/api/v1/callbacks/"
# Longer ones are none of ours: 32 digits of the id, a full stop, 43 characters of signature.
MAX_CHARACTERS = 100


def callback_url(*, adapter: str, generation_id: UUID) -> str:
    """Return the address for callbacks of one generation; empty while nobody said under which address we are reached.

    It does not expire: what it lets its holder do is to tell of this one job.
    """
    if not settings.CALLBACK_ORIGIN:
        return ""
    return f"{settings.CALLBACK_ORIGIN}{PATH}{quote(adapter, safe='')}/{signed_id(adapter=adapter, generation_id=generation_id)}/"


def signed_id(*, adapter: str, generation_id: UUID) -> str:
    return _signer(adapter).sign(generation_id.hex)


def read_signed_id(text: str, *, adapter: str) -> UUID | None:
    """Return the id of the generation, or None when the signature is not ours, or was given for another adapter."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return UUID(hex=_signer(adapter).unsign(text))
    except (BadSignature, ValueError):
        return None


def _signer(adapter: str) -> Signer:
    # The adapter is part of it: whoever has an address of a provider that signs must not use it under one that does not.
    return Signer(salt=f"generations.callbacks.{adapter}", sep=".")
