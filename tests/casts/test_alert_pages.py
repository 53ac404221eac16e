"""Where operators see alerts: the admin, its first page, the doctor, the metrics."""

from datetime import timedelta

import pytest
from django.urls import reverse

from casts import doctor
from casts.clock import database_now
from casts.metrics import gauges
from casts.models import Alert
from tests.operators import operator, page, queries_of, superuser

from .factories import NOON, AlertFactory, AlertMailFactory

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # pages are the same on each database; what they ask of it is marked


def listed(**query) -> list[Alert]:
    return list(superuser().get(reverse("admin:casts_alert_changelist"), query).context["cl"].result_list)


def over(**values) -> Alert:
    return AlertFactory.create(calm_since=NOON, closed_at=NOON + timedelta(minutes=10), **values)


def finding() -> doctor.Finding:
    return doctor._examined("alerts", doctor._alerts)


@pytest.mark.both_databases
def test_open_alerts_stand_first_then_what_was_the_latest_first():
    rows = [over(), AlertFactory.create(), over(), AlertFactory.create(kind="no_conductor", subject="")]
    assert listed() == [rows[3], rows[1], rows[2], rows[0]]
    assert listed(open="yes") == [rows[3], rows[1]]
    assert listed(open="no") == [rows[2], rows[0]]
    assert listed(open="perhaps") == listed()
    assert listed(kind__exact="no_conductor") == [rows[3]]
    assert listed(q=rows[0].subject) == [rows[0]]


def test_the_page_of_an_alert_tells_it_as_text():
    alert = AlertFactory.create(told="<script>alert(1)</script>", details={"calls": 2})
    text = page(superuser(), "casts_alert_change", alert.pk)
    assert "&lt;script&gt;" in text
    assert "a provider is left alone" in text
    assert ">open<" in text
    assert ">over<" in page(superuser(), "casts_alert_change", over().pk)


def test_nobody_edits_alerts_or_mails():
    client = superuser()
    for name, row in (("alert", AlertFactory.create()), ("alertmail", AlertMailFactory.create())):
        assert client.get(reverse(f"admin:casts_{name}_add")).status_code == 403
        assert client.post(reverse(f"admin:casts_{name}_delete", args=[row.pk])).status_code == 403
        assert 'name="_save"' not in page(client, f"casts_{name}_change", row.pk)


@pytest.mark.parametrize("name", ["alert", "alertmail"])
def test_the_lists_take_as_many_queries_for_many_rows_as_for_one(name):
    client = superuser()

    def add(count):
        AlertFactory.create_batch(count)
        AlertMailFactory.create_batch(count)

    add(1)
    few = queries_of(client, f"casts_{name}_changelist")
    add(20)
    assert queries_of(client, f"casts_{name}_changelist") == few


def test_the_first_page_shows_those_that_are_open():
    over(subject="long-ago")
    alert = AlertFactory.create(subject="replicate")
    AlertFactory.create(subject="fal", calm_since=NOON)
    text = page(superuser(), "index")
    assert reverse("admin:casts_alert_change", args=[alert.pk]) in text
    assert "a provider is left alone: replicate" in text
    assert "calming down" in text
    assert "long-ago" not in text


def test_the_first_page_says_that_none_is_open():
    assert "None is open." in page(superuser(), "index")
    assert "None is open." not in operator("spells.view_spell").get(reverse("admin:index")).content.decode()


def test_the_doctor_names_what_is_open():
    assert finding().is_well
    AlertFactory.create(subject="replicate")
    assert not finding().is_well
    assert "1 open: a provider is left alone: replicate since 2026-01-01 12:00 UTC" in finding().told


def test_what_calms_down_is_no_ill_for_the_doctor():
    AlertFactory.create(calm_since=NOON)
    assert finding().is_well
    assert finding().told == "none is open, 1 calming down"


def test_the_doctor_finds_mails_that_no_server_takes():
    AlertMailFactory.create(attempts=2, said="ConnectionRefusedError: [Errno 111] Connection refused", due_at=database_now())
    assert "Connection refused" in finding().told
    assert "EMAIL_URL" in finding().mend


def test_the_metrics_tell_how_many_of_each_kind_are_open():
    AlertFactory.create_batch(2)
    over()
    family = next(family for family in gauges.collect() if family.name == "grimoire_alert_open")
    told = {sample.labels["kind"]: sample.value for sample in family.samples}
    assert told == {
        "casts_healed": 0,
        "wakeup_lag": 0,
        "unknown_calls": 0,
        "breaker_open": 2,
        "notification_backlog": 0,
        "no_conductor": 0,
        "cluster_silent": 0,
    }
