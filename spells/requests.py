"""What requests of the API say, read strictly. Bodies are judged by JSON Schemas, which its documentation shows as they are."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from rest_framework.exceptions import NotAuthenticated, ParseError
from rest_framework.request import Request

from spells.problems import Problem, ProblemsError
from spells.schemas import check

# The body of a POST that needs none.
NOTHING: Mapping[str, Any] = {"type": "object", "additionalProperties": False}


class UnreadableRequestError(ParseError):
    """An address, a header or a body is not what it must be. `problems` name what is wrong with which of them."""

    def __init__(self, *problems: Problem) -> None:
        """Take what is wrong."""
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class InvalidBodyError(ProblemsError):
    """A body that can be read, but does not say what it must."""


def checked(body: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request as it is when it fits the schema of an object. Raises InvalidBodyError."""
    problems = check(body, schema, path="")
    if problems:
        raise InvalidBodyError(problems)
    said: dict[str, Any] = body
    return said


def user_of(request: Request) -> User:
    """Return who asks. Raises NotAuthenticated when that is nobody."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user
