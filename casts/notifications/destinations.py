"""Where webhooks may go: to https on the public internet, unless an operator allows the host."""

import ipaddress

import httpx2
from django.conf import settings

from generations.tools.addresses import is_public
from generations.tools.contract import ToolError
from generations.tools.http_client import checked_url
from spells.problems import Problem, ProblemsError

MAX_CHARACTERS = 2000


class InvalidAddressError(ProblemsError):
    """An address to which no webhook may go."""


def check_address(text: str, *, path: str = "url") -> None:
    """Return when webhooks may go to this address, as far as it tells by itself. Raises InvalidAddressError.

    Which addresses its name has on the network is checked each time that something is sent there.
    """
    problem = problem_of(text)
    if problem:
        raise InvalidAddressError([Problem(path, problem)])


def problem_of(text: str) -> str:
    """Return why no webhook may go to an address; empty when nothing is wrong with it."""
    if len(text) > MAX_CHARACTERS:
        return f"is longer than {MAX_CHARACTERS} characters"
    try:
        url = checked_url(text)
    except ToolError as error:
        return f"is refused: {error.message}"
    if url.fragment:
        return "has a fragment, which is never sent"
    if may_be_private(url.host):
        return ""
    if url.scheme != "https":
        return "must be https"
    return "is not on the public internet" if _is_private(url) else ""


def may_be_private(host: str) -> bool:
    """Tell whether an operator allows a host that is not public, or speaks plain http."""
    allowed = settings.WEBHOOK_PRIVATE_HOSTS
    return "*" in allowed or host.lower() in allowed


def _is_private(url: httpx2.URL) -> bool:
    host = url.host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False  # a name
    return not is_public(host)
