"""Links to artefacts that work without a key, for an hour: an address with a signature in it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.core.signing import BadSignature, Signer

LIFETIME = timedelta(hours=1)

_signer = Signer(salt="generations.links")


class LinkRefusedError(Exception):
    """The signature of a link is not ours, is another artefact's, or has expired."""


def signature_of(*, artifact_id: UUID, now: datetime) -> tuple[str, datetime]:
    """Return a signature that lets whoever has it read one artefact, and until when: `LIFETIME` from now."""
    expires = int((now + LIFETIME).timestamp())
    signed = _signer.sign(f"{artifact_id}{_signer.sep}{expires}")
    return signed.removeprefix(f"{artifact_id}{_signer.sep}"), datetime.fromtimestamp(expires, tz=UTC)


def check_signature(*, artifact_id: UUID, signature: str, now: datetime) -> None:
    """Return when the signature is good. Raises LinkRefusedError."""
    try:
        signed = _signer.unsign(f"{artifact_id}{_signer.sep}{signature}")
    except BadSignature as error:
        raise LinkRefusedError("The link is not valid. Ask for a new one.") from error
    if int(signed.rpartition(_signer.sep)[2]) < now.timestamp():
        raise LinkRefusedError("The link has expired. Ask for a new one.")
