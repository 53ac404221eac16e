"""Mails: what they say, and headers by which no machine answers them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from casts.models import Notification

from .payloads import address
from .words import summary

# RFC 3834, and what Microsoft's servers heed instead.
HEADERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail, whole but for the way to the server. `message_id` is the same however often it is sent."""

    recipient: str
    subject: str
    text: str
    html: str
    message_id: str

    def send(self) -> None:
        """Hand the mail to the server of the settings. Raises smtplib.SMTPException or OSError."""
        headers = {**HEADERS, "Message-ID": f"<{self.message_id}@{urlsplit(settings.PUBLIC_URL).hostname}>"}
        mail = EmailMultiAlternatives(self.subject, self.text, settings.DEFAULT_FROM_EMAIL, [self.recipient], headers=headers)
        mail.attach_alternative(self.html, "text/html")
        mail.send()


def mail_of(notification: Notification, *, document: Mapping[str, Any], cast: Mapping[str, Any], message_id: str) -> Mail:
    """Return the mail that tells of an event. `document` is the event, `cast` the cast that it is about, as the API shows it.

    One that is about a cook has it in the event.
    """
    words = summary(notification)
    context = {
        "summary": words,
        "event": document,
        "cook": document["data"] if notification.cook_id else None,
        "cast": {**cast, **(notification.told if notification.generation_id is None else {})},
        "error": document["data"].get("error") or (document["data"].get("attention") or {}).get("error"),
        "link": _link(notification),
        "site": settings.PUBLIC_URL,
    }
    return Mail(
        recipient=notification.target,
        subject=f"[Grimoire] {words}",
        text=render_to_string("notifications/mail.txt", context),
        html=render_to_string("notifications/mail.html", context),
        message_id=message_id,
    )


def _link(notification: Notification) -> str:
    """Return where the cast or the cook can be seen: by the staff in the admin, by others in the API."""
    what, pk = ("cook", notification.cook_id) if notification.cook_id else ("cast", notification.cast_id)
    assert pk is not None
    if notification.recipient.is_staff:
        return settings.PUBLIC_URL + reverse(f"admin:casts_{what}_change", args=[pk])
    return address(f"api:{what}", pk=pk)
