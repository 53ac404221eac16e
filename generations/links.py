"""Links to artefacts that work without a key, for an hour: an address with a signature in it."""

from datetime import timedelta
from uuid import UUID

from django.core.signing import BadSignature, TimestampSigner

LIFETIME = timedelta(hours=1)

_signer = TimestampSigner(salt="generations.links")


class LinkRefusedError(Exception):
    """The signature of a link is not ours, is another artefact's, or has expired."""


def signature_of(*, artifact_id: UUID) -> str:
    """Return a signature that lets whoever has it read one artefact for `LIFETIME` from now."""
    return _signer.sign(str(artifact_id)).removeprefix(f"{artifact_id}{_signer.sep}")


def check_signature(*, artifact_id: UUID, signature: str) -> None:
    """Return when the signature is good. Raises LinkRefusedError."""
    try:
        _signer.unsign(f"{artifact_id}{_signer.sep}{signature}", max_age=LIFETIME)
    except (BadSignature, ValueError) as error:  # ValueError: a time that is none
        raise LinkRefusedError("The link is not valid, or not any more. Ask for a new one.") from error
