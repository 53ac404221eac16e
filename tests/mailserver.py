"""A mail server of this machine, that keeps what it takes and refuses what it is told to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class MailServer:
    """`refusals` are answered in turn to whoever names a recipient, `rejections` to whoever sends a mail; an empty one lets it through."""

    url: str = ""
    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    rejections: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        refusal = self.refusals.pop(0) if self.refusals else ""
        if not refusal:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        rejection = self.rejections.pop(0) if self.rejections else ""
        if rejection:
            return rejection
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.received.append(mail)
        return "250 Taken"


class _Controller(Controller):
    """Takes any port that is free, and knows which before it asks itself whether it answers."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Take mails until the block is left."""
    server = MailServer()
    controller = _Controller(server, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        server.port = controller.port
        server.url = f"smtp://127.0.0.1:{server.port}"
        yield server
    finally:
        controller.stop()
