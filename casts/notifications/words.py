"""What happened, in one sentence for people: in the inbox, in mails, in the admin."""

from collections.abc import Mapping
from typing import Any

from casts.models import Notification, NotificationKind

MAX_CHARACTERS = 300

_SENTENCES: Mapping[str, str] = {
    NotificationKind.SUCCEEDED: "{spell} succeeded.",
    NotificationKind.FAILED: "{spell} failed: {message}",
    NotificationKind.CANCELLED: "{spell} was cancelled: {reason}",
    NotificationKind.HEALED: "{spell} had stalled, and goes on.",
    NotificationKind.WAITING: "{spell} waits for somebody to say what became of {place}: it may have been billed.",
    NotificationKind.GENERATION_SUCCEEDED: "{spell}: {place} succeeded.",
    NotificationKind.GENERATION_FAILED: "{spell}: {place} failed: {message}",
    NotificationKind.GENERATION_CANCELLED: "{spell}: {place} was cancelled.",
    NotificationKind.GENERATION_SKIPPED: "{spell}: {place} was skipped.",
    NotificationKind.GENERATION_UNKNOWN: "{spell}: {place} may have been billed, and its answer is lost: {message}",
    NotificationKind.COOK_FINISHED: "The cook {cook} of {name} has finished: {made} of {total} pieces are made.",
    NotificationKind.COOK_PAUSED: "The cook {cook} of {name} is paused, and waits for somebody: {reason}",
    NotificationKind.WEBHOOK_DISABLED: "Nothing more is sent to the webhook {url}. {reason}",
    NotificationKind.WEBHOOK_TEST: "A test of the webhook {url}.",
}


def summary(notification: Notification) -> str:
    """Return what a notification tells. Needs the spell of its cast: `cast__version__spell`."""
    data: Mapping[str, Any] = notification.told
    at = data.get("attention") or data
    told = {
        "spell": notification.cast.version.spell.slug if notification.cast else "",
        "place": f"step {at.get('step')} (item {at.get('item')}, attempt {at.get('attempt')})",
        "message": (at.get("error") or {}).get("message") or "nobody knows why.",
        "reason": data.get("reason") or "no reason was given.",
        "url": data.get("url", ""),
        **{name: data.get(name, "") for name in ("cook", "name", "made", "total")},
    }
    words = " ".join(_SENTENCES[notification.kind].format(**told).split())  # no line of a subject may begin in the middle of it
    return words if len(words) <= MAX_CHARACTERS else f"{words[: MAX_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
