"""The mails to operators, handed to a real mail server by a conductor."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import call_command

from casts.alerts import mails
from casts.clock import database_now
from casts.conductor.alert_mails import AlertMails
from casts.errands import Errand
from casts.models import Alert, AlertMail, AlertMailOutcome
from tests.mailserver import MailServer, mail_server

from .factories import AlertFactory, AlertMailFactory, GateFactory
from .providers import do_errands
from .test_conductor import conduct

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(settings) -> Iterator[MailServer]:
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 10
        settings.EMAIL_IS_CONFIGURED = True
        settings.DEFAULT_FROM_EMAIL = "Grimoire <grimoire@example.org>"
        settings.GRIMOIRE_ALERT_EMAILS = ["ada@example.org"]
        yield server


def send() -> None:
    with ThreadPoolExecutor(max_workers=1) as threads:
        do_errands(lambda **_: AlertMails(threads=threads))


def test_a_conductor_sends_what_the_reaper_found(server: MailServer, capsys):
    GateFactory.create(state="open", since=database_now())
    call_command("reap")
    assert "alert: a provider is left alone" in capsys.readouterr().out
    conduct()
    [mail] = server.received
    assert mail["To"] == "ada@example.org"
    assert mail["From"] == "Grimoire <grimoire@example.org>"
    assert mail["Subject"].startswith("[Grimoire] alert: a provider is left alone: test.tool")
    assert mail["Auto-Submitted"] == "auto-generated"
    row = AlertMail.objects.get()
    assert mail["Message-ID"] == f"<alert-mail-{row.pk}@example.org>"
    assert (row.outcome, row.due_at, row.said) == ("sent", None, "")
    assert Alert.objects.get().told in " ".join(mail.get_content().split())


def test_a_mail_that_the_server_puts_off_is_sent_again(server: MailServer, clock):
    AlertMailFactory.create(due_at=clock.now())
    server.refusals = ["451 Come back later"]
    send()
    row = AlertMail.objects.get()
    assert (row.outcome, row.attempts, row.said) == ("pending", 1, "451 Come back later")
    assert row.due_at > clock.now()
    clock.advance(seconds=10)
    send()
    row.refresh_from_db()
    assert (row.outcome, row.attempts, len(server.received)) == ("sent", 2, 1)


def test_a_recipient_that_the_server_does_not_know_is_given_up_with_its_words(server: MailServer):
    AlertMailFactory.create(due_at=database_now())
    server.refusals = ["550 No such user"]
    send()
    row = AlertMail.objects.get()
    assert (row.outcome, row.said) == ("failed", "550 No such user")


def test_a_server_that_is_away_is_tried_for_a_working_day(server: MailServer, settings, clock):
    settings.EMAIL_PORT = 9  # nobody listens there
    AlertMailFactory.create(due_at=clock.now())
    send()
    row = AlertMail.objects.get()
    assert row.outcome == "pending"
    assert "ConnectionRefusedError" in row.said
    AlertMail.objects.update(attempts=mails.MAX_TRIES - 1, due_at=clock.now())
    send()
    row.refresh_from_db()
    assert row.outcome == "failed"
    assert mails.MAX_TRIES * 150 > 4 * 3600


def test_without_a_server_a_mail_fails_at_once_and_says_why(server: MailServer, settings):
    settings.EMAIL_IS_CONFIGURED = False
    AlertMailFactory.create(due_at=database_now())
    send()
    assert AlertMail.objects.get().said == "EMAIL_URL names no server."
    assert server.received == []


def test_a_mail_that_was_taken_over_by_another_is_not_noted_by_the_first(clock):
    row = AlertMailFactory.create(due_at=clock.now())
    late = mails.Posted(errand=Errand(id=row.pk, attempts=1), outcome=AlertMailOutcome.SENT)
    AlertMail.objects.update(attempts=2)
    mails.note([late])
    row.refresh_from_db()
    assert row.outcome == "pending"


def test_words_of_a_provider_cannot_add_headers(server: MailServer, settings):
    alert = AlertFactory.create(subject="evil\r\nBcc: mallory@example.org")
    mails.write(opened=[alert], closed=[], reminded=[], now=database_now())
    send()
    [mail] = server.received
    assert mail["Bcc"] is None
    assert AlertMail.objects.get().outcome == "sent"
