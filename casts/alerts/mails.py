"""The mails that tell operators of alerts: written with the change that they tell of, sent as errands.

One look writes one mail to each operator, however much it found: a site on which everything fails at once sends no storm.
"""

import smtplib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.urls import reverse

from casts.clock import database_now
from casts.engine.retrying import in_one_transaction
from casts.errands import Errand, put_off, wait_before_retry
from casts.metrics.counters import ALERT_MAILS
from casts.models import Alert, AlertMail, AlertMailOutcome
from generations.outputs import clean_text

# With waits of up to five minutes, a server may be away for a working day.
MAX_TRIES = 100
MAX_SAID_CHARACTERS = 1_000
MAX_SUBJECT_CHARACTERS = 200
PERMANENT = 500  # from this reply code on, SMTP means no (RFC 5321, 4.2.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail to send. `errand` is the right to send it."""

    errand: Errand
    target: str
    subject: str
    body: str
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What came of sending a mail. Without an outcome it is to be tried again."""

    errand: Errand
    outcome: AlertMailOutcome | None
    said: str = ""


def write(*, opened: Sequence[Alert], closed: Sequence[Alert], reminded: Sequence[Alert], now: datetime) -> None:
    """Write a mail to each operator, if there is anything to tell. Same transaction as the alerts."""
    if not (opened or closed or reminded):
        return
    subject, body = _subject(opened, closed, reminded), _body(opened, closed, reminded)
    AlertMail.objects.bulk_create(
        AlertMail(target=target, subject=subject, body=body, created_at=now, due_at=now) for target in settings.GRIMOIRE_ALERT_EMAILS
    )


def _subject(opened: Sequence[Alert], closed: Sequence[Alert], reminded: Sequence[Alert]) -> str:
    alerts = [*opened, *reminded, *closed]
    if len(alerts) == 1:
        what = "over" if closed else "still" if reminded else "alert"
        told = f"{what}: {alerts[0]}"
    else:
        counts = ((len(opened), "new"), (len(reminded), "still open"), (len(closed), "over"))
        told = "alerts: " + ", ".join(f"{count} {word}" for count, word in counts if count)
    return " ".join(f"[Grimoire] {told}".split())[:MAX_SUBJECT_CHARACTERS]  # one line, whatever a name holds


def _body(opened: Sequence[Alert], closed: Sequence[Alert], reminded: Sequence[Alert]) -> str:
    parts = [*_part("New", opened), *_part("Still open", reminded), *_part("Over", closed)]
    url = f"{settings.PUBLIC_URL}{reverse('admin:casts_alert_changelist')}"
    return "\n".join([*parts, f"All alerts: {url}", "What each means, and what to do: docs/monitoring.md", ""])


def _part(title: str, alerts: Iterable[Alert]) -> list[str]:
    lines = []
    for alert in alerts:
        since = f"{alert.opened_at:%Y-%m-%d %H:%M} UTC"
        when = f"since {since}" if alert.closed_at is None else f"from {since} to {alert.calm_since:%Y-%m-%d %H:%M} UTC"
        lines += [f"{title}: {alert} ({when})", f"    {alert.told}", ""]
    return lines


def load(errands: Sequence[Errand]) -> list[Letter]:
    """Return the mails of these errands, the oldest first."""
    mine = {errand.id: errand for errand in errands}
    return [
        Letter(errand=mine[mail.pk], target=mail.target, subject=mail.subject, body=mail.body, written_at=mail.created_at)
        for mail in AlertMail.objects.filter(pk__in=mine).order_by("pk")
    ]


def send(letter: Letter) -> Posted:
    """Hand a mail to the server that EMAIL_URL names. Blocks; touches no database."""
    if not settings.EMAIL_IS_CONFIGURED:
        return Posted(errand=letter.errand, outcome=AlertMailOutcome.FAILED, said="EMAIL_URL names no server.")
    domain = Address(addr_spec=parseaddr(settings.DEFAULT_FROM_EMAIL)[1]).domain
    headers = {
        "Message-ID": f"<alert-mail-{letter.errand.id}@{domain}>",
        "Date": letter.written_at.strftime("%a, %d %b %Y %H:%M:%S +0000"),
        "Auto-Submitted": "auto-generated",
    }
    try:
        EmailMessage(subject=letter.subject, body=letter.body, to=[letter.target], headers=headers).send()
    except smtplib.SMTPRecipientsRefused as error:
        code, said = error.recipients[letter.target]
        outcome = AlertMailOutcome.FAILED if code >= PERMANENT else None
        return Posted(errand=letter.errand, outcome=outcome, said=f"{code} {said.decode(errors='replace')}")
    except (OSError, smtplib.SMTPException) as error:
        return Posted(errand=letter.errand, outcome=None, said=f"{type(error).__name__}: {error}")
    return Posted(errand=letter.errand, outcome=AlertMailOutcome.SENT)


@in_one_transaction
def note(posted: Sequence[Posted]) -> None:
    """Write what came of sending, where the errand is still ours."""
    now = database_now()
    for each in posted:
        said = clean_text(each.said)[:MAX_SAID_CHARACTERS]
        outcome = each.outcome or (AlertMailOutcome.FAILED if each.errand.attempts >= MAX_TRIES else None)
        mail = AlertMail.objects.filter(pk=each.errand.id, attempts=each.errand.attempts, outcome=AlertMailOutcome.PENDING)
        if outcome is not None:
            mail.update(outcome=outcome, said=said, due_at=None, done_at=now)
        else:
            mail.update(said=said)
            put_off(AlertMail, [each.errand], seconds=wait_before_retry(each.errand))
        transaction.on_commit(ALERT_MAILS.labels(outcome or "refused").inc, robust=True)
