"""Who asks: an API key as `Authorization: Bearer <key>`. Keys are hashed at rest; django-rest-knox keeps them."""

from hmac import compare_digest
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed

REFUSED = "The API key is unknown, expired, or of a user who is inactive."


class BearerAuthentication(TokenAuthentication):  # type: ignore[misc] # knox has no types
    """Reads API keys. Unlike its base it writes nothing, asks one query, and refuses bytes that are no text."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, AuthToken]:
        """Return user and key. Raises AuthenticationFailed, with the same words whatever was wrong."""
        if not token.isalnum() or not token.isascii():
            raise AuthenticationFailed(REFUSED)
        given = token.decode("ascii")
        digest = hash_token(given)
        for key in AuthToken.objects.filter(token_key=given[: CONSTANTS.TOKEN_KEY_LENGTH]).select_related("user"):
            alive = key.expiry is None or key.expiry > timezone.now()
            if compare_digest(digest, key.digest) and alive and key.user.is_active:
                return key.user, key
        raise AuthenticationFailed(REFUSED)
