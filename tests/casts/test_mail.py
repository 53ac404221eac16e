"""E-mail, as a real SMTP server gets it."""

import pytest

from casts.models import Delivery, Notification, Subscription
from casts.notifications.subscriptions import EmailUnavailableError, subscribe_by_email
from tests.mailserver import mail_server

from .scenes import Hand, billed, cast, refusal, user
from .telling import only, send_due

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(settings):
    with mail_server() as box:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", box.port, 10
        settings.DEFAULT_FROM_EMAIL = "Grimoire <grimoire@example.org>"
        settings.PUBLIC_URL = "https://grimoire.example.org"
        yield box


@pytest.fixture
def ada(clock, settings):
    settings.EMAIL_IS_CONFIGURED = True
    ada = user()
    ada.email = "ada@example.org"
    ada.save()
    subscribe_by_email(owner=ada, kinds=["cast.succeeded", "cast.failed", "cast.waiting", "generation.failed"], now=clock.now())
    return ada


def ended(*news, **values):
    hand = Hand(cast({"key": "one", "max_attempts": 1, **values}))
    hand.look()
    hand.answer("one", *(news or ({"n": 1},)))
    return hand.cast


def parts(mail):
    return mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()


def test_a_mail_arrives_with_the_reason_and_a_link(box, ada):
    Subscription.objects.update(kinds=["cast.failed"])
    started = ended(refusal("It <b>broke</b>.", code="broken"))
    send_due()
    (mail,) = box.received
    assert mail["To"] == "ada@example.org"
    assert mail["From"] == "Grimoire <grimoire@example.org>"
    assert mail["Subject"] == "[Grimoire] scene failed: It <b>broke</b>."
    text, html = parts(mail)
    assert "It <b>broke</b>." in text
    assert "It &lt;b&gt;broke&lt;/b&gt;." in html
    assert "step one, attempt 1" in text
    for part in (text, html):
        assert f"https://grimoire.example.org/api/v1/casts/{started.pk}/" in part
        assert "failed" in part
    assert (only("email").status, Delivery.objects.get().address) == ("delivered", "ada@example.org")


def test_no_machine_answers_it_and_it_has_one_id_however_often_it_is_sent(box, ada, clock):
    ended()
    box.rejections.append("451 Try again later")
    send_due()
    assert only("email").said == "The mail server refuses: Try again later"
    assert Delivery.objects.get().status_code == 451
    clock.advance(seconds=10)
    send_due()
    (mail,) = box.received
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["Message-ID"] == f"<msg_{only('email').message_id.hex}@grimoire.example.org>"


def test_the_staff_is_led_to_the_admin(box, ada):
    ada.is_staff = True
    ada.save()
    started = ended()
    send_due()
    assert f"https://grimoire.example.org/admin/casts/cast/{started.pk}/change/" in parts(box.received[0])[0]


def test_a_mail_about_a_step_and_one_that_asks_for_somebody(box, ada):
    ended(refusal("It broke.", retry_after=5.0), max_attempts=2)
    hand = Hand(cast({"key": "one", "tool": billed()}, slug="other"))
    hand.look()
    hand.answer("one", refusal("The connection was lost.", ambiguous=True))
    send_due()
    subjects = sorted(mail["Subject"] for mail in box.received)
    assert "scene: step one (item 0, attempt 1) failed: It broke." in subjects[1]
    assert "waits for somebody" in subjects[0]
    text = next(parts(mail)[0] for mail in box.received if "waits" in mail["Subject"])
    assert "Somebody has to look the call up" in text
    assert "The connection was lost." in text


def test_words_of_a_provider_make_no_headers(box, ada):
    ended(refusal("It broke.\r\nBcc: everybody@example.org\n\nHello"))
    send_due()
    (mail,) = [each for each in box.received if "scene failed" in each["Subject"]]
    assert mail["To"] == "ada@example.org"
    assert mail["Bcc"] is None
    assert "It broke. Bcc: everybody@example.org Hello" in mail["Subject"]


def test_a_box_that_does_not_exist_is_not_tried_again(box, ada):
    box.refusals.append("550 No such user here")
    ended()
    send_due()
    row = only("email")
    assert (row.status, row.said) == ("given_up", "The mail server refuses the recipient: No such user here")
    assert Delivery.objects.get().status_code == 550


def test_a_box_that_is_full_for_now_is_tried_again(box, ada):
    box.refusals.append("452 Mailbox full")
    ended()
    send_due()
    assert only("email").status == "pending"


def test_a_mail_server_that_is_away_is_tried_again(ada, settings, clock):
    with mail_server() as box:
        port = box.port
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    ended()
    send_due()
    assert only("email").status == "pending"
    assert "cannot be reached" in only("email").said


def test_what_its_recipient_wants_no_more_is_not_mailed(box, ada, clock):
    ended()
    subscribe_by_email(owner=ada, kinds=[], now=clock.now())
    send_due()
    assert (box.received, only("email").status) == ([], "given_up")
    ended()
    assert Notification.objects.filter(channel="email").count() == 1


def test_nobody_asks_for_mail_where_none_can_be_sent(settings, clock):
    settings.EMAIL_IS_CONFIGURED = False
    with pytest.raises(EmailUnavailableError, match="EMAIL_URL"):
        subscribe_by_email(owner=user(), kinds=["cast.failed"], now=clock.now())
    settings.EMAIL_IS_CONFIGURED = True
    with pytest.raises(EmailUnavailableError, match="no e-mail address"):
        subscribe_by_email(owner=user(), kinds=["cast.failed"], now=clock.now())
    subscribe_by_email(owner=user(), kinds=[], now=clock.now())
    assert Subscription.objects.get().kinds == []
