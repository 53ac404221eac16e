"""Sending: a webhook by a signed POST, a mail by the server of the settings. Neither touches the database."""

import smtplib
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from generations.outputs import clean_text
from generations.tools.contract import ToolError
from generations.tools.http_client import Answer, Outgoing, checked_url, exchange
from generations.tools.http_errors import retry_after_seconds

from . import signing
from .destinations import may_be_private, problem_of
from .messages import Message, Outcome, Tried

SEND_SECONDS = 20.0
# Of what a receiver answers, so much is read and kept.
MAX_ANSWER_BYTES = 1_000
MAX_ERROR_CHARACTERS = 1_000
HEADERS = {"Content-Type": "application/json", "User-Agent": "Grimoire-Webhooks"}

# Mail servers that will say the same again: no such box, not local, full by policy, name not allowed.
_NO_SUCH_BOX = frozenset({550, 551, 553, 554})


async def post(message: Message) -> Tried:
    """Post a webhook to its receiver. Follows no redirect: it would lead past the check of the address that was given."""
    at, started = message.now(), time.monotonic()
    refusal = problem_of(message.address)
    if refusal:
        return _tried(message, at, started, error=f"The address {refusal}.")
    try:
        answer = await exchange(_request(message))
    except ToolError as error:
        return _tried(message, at, started, error=_words(error))
    return _tried(message, at, started, **_verdict(answer))


def _request(message: Message) -> Outgoing:
    signed = signing.headers(message_id=message.id, at=message.now(), body=message.body, signing=message.secrets)
    return Outgoing(
        method="POST",
        url=message.address,
        headers={**HEADERS, **signed},
        content=message.body,
        max_bytes=MAX_ANSWER_BYTES,
        cut_body=True,
        timeout_seconds=SEND_SECONDS,
        allow_private_addresses=may_be_private(checked_url(message.address).host),
        max_redirects=0,
    )


def _words(error: ToolError) -> str:
    if error.code == "address_forbidden":
        return "The address is not on the public internet."  # our own words: those of the tools name a setting of theirs
    return error.message


def _verdict(answer: Answer) -> Mapping[str, Any]:
    """Return what the answer of a receiver means."""
    told = {"status_code": answer.status, "answer": clean_text(answer.body.decode(errors="replace"))}
    if answer.is_success:
        return told
    if answer.status == HTTPStatus.GONE:
        return {**told, "outcome": Outcome.GONE, "error": "It answered 410 Gone: it wants no more webhooks."}
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        where = clean_text(answer.headers.get("location", ""))[:200]
        return {**told, "error": f"It answered {answer.status}, a redirect{f' to {where}' if where else ''}, which is not followed."}
    return {**told, "error": f"It answered {answer.status}.", "retry_after": retry_after_seconds(answer.headers)}


def mail(message: Message) -> Tried:
    """Mail a message. Blocks."""
    assert message.mail is not None
    at, started = message.now(), time.monotonic()
    try:
        message.mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        outcome = Outcome.REFUSED if code in _NO_SUCH_BOX else Outcome.FAILED
        return _tried(
            message, at, started, status_code=code, outcome=outcome, error=f"The mail server refuses the recipient: {_text(words)}"
        )
    except smtplib.SMTPResponseException as error:
        return _tried(message, at, started, status_code=error.smtp_code, error=f"The mail server refuses: {_text(error.smtp_error)}")
    except (smtplib.SMTPException, OSError) as error:
        return _tried(message, at, started, error=f"The mail server cannot be reached: {error or type(error).__name__}")
    return _tried(message, at, started)


def _text(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else words


def _tried(message: Message, at: Any, started: float, *, error: str = "", outcome: Outcome | None = None, **told: Any) -> Tried:
    cut = clean_text(error)[:MAX_ERROR_CHARACTERS]
    judged = outcome or (Outcome.FAILED if error else Outcome.DELIVERED)
    return Tried(message=message, at=at, seconds=time.monotonic() - started, outcome=judged, error=cut, **told)
