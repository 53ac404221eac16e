"""Links that work without a key, for an hour: an address with a signature in it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.core.signing import BadSignature, Signer

LIFETIME = timedelta(hours=1)


class LinkRefusedError(Exception):
    """The signature of a link is not ours, is another thing's, or has expired."""


class Links:
    """Links to things of one sort, by their ids. A signature of one sort is worth nothing for another."""

    def __init__(self, salt: str) -> None:
        """Take the name of the sort."""
        self._signer = Signer(salt=salt)

    def sign(self, *, id: UUID | int, now: datetime) -> tuple[str, datetime]:  # noqa: A002 - the field's own name
        """Return a signature that lets whoever has it read one thing, and until when: `LIFETIME` from now."""
        expires = int((now + LIFETIME).timestamp())
        signed = self._signer.sign(f"{id}{self._signer.sep}{expires}")
        return signed.removeprefix(f"{id}{self._signer.sep}"), datetime.fromtimestamp(expires, tz=UTC)

    def check(self, *, id: UUID | int, signature: str, now: datetime) -> None:  # noqa: A002 - likewise
        """Return when the signature is good. Raises LinkRefusedError."""
        try:
            signed = self._signer.unsign(f"{id}{self._signer.sep}{signature}")
        except BadSignature as error:
            raise LinkRefusedError("The link is not valid. Ask for a new one.") from error
        if int(signed.rpartition(self._signer.sep)[2]) < now.timestamp():
            raise LinkRefusedError("The link has expired. Ask for a new one.")


ARTIFACTS = Links("generations.links")
