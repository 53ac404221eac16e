"""Providers and gates as people see them: the API, the admin, the command, the doctor."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from casts import doctor, engine
from casts.clock import database_now
from casts.models import Gate, GateEvent
from spells.models import Provider
from tests.api import client_of, get
from tests.casts.factories import NOON, CastFactory, GateFactory, GenerationFactory, WaiterFactory, WakeupFactory
from tests.factories import ProviderFactory, StepFactory, ToolFactory, UserFactory
from tests.operators import operator, page, superuser

pytestmark = pytest.mark.django_db(transaction=True)


def away(slug: str = "faraway") -> Provider:
    provider = ProviderFactory.create(slug=slug, max_in_flight=5)
    error = {"at": NOON.isoformat(), "tool": "far.tool", "code": "timeout", "message": "<b>It did not answer.</b>"}
    Gate.objects.create(provider=provider, state="open", since=NOON, retry_at=NOON, failures=5, wait_seconds=30, errors=[error])
    return provider


# The API


def test_signed_in_users_see_providers_and_nothing_secret():
    ToolFactory.create(slug="far.tool", provider=away(), config={"api_key_env": "FAR_KEY"})
    ProviderFactory.create(slug="near.by")
    client = client_of(UserFactory.create())
    listed = get(client, "/providers/").json()["results"]
    assert [provider["slug"] for provider in listed] == ["faraway", "near.by"]
    assert listed[0] | {"name": ""} == {
        "slug": "faraway",
        "name": "",
        "enabled": True,
        "state": "open",
        "since": "2026-01-01T12:00:00Z",
        "retry_at": "2026-01-01T12:00:00Z",
        "quiet_until": None,
        "max_in_flight": 5,
        "max_per_minute": None,
        "tools": ["far.tool"],
    }
    assert get(client, "/providers/near.by/").json()["state"] == "closed"
    assert "FAR_KEY" not in get(client, "/providers/").content.decode()
    assert get(client, "/providers/nowhere/").status_code == 404
    assert get(client_of(), "/providers/").status_code == 401


def test_a_cast_tells_where_it_waits_and_behind_how_many():
    gate = GateFactory.create(tool=ToolFactory.create(slug="far.tool"))
    me = UserFactory.create()
    waiting = CastFactory.create(initiator=me, status="running")
    WaiterFactory.create(gate=gate, since=NOON.replace(hour=11))
    WaiterFactory.create(gate=gate, cast=waiting)
    WaiterFactory.create(gate=gate, since=NOON.replace(hour=13))
    WaiterFactory.create(since=NOON.replace(hour=10))
    expected = {"at": "far.tool", "since": "2026-01-01T12:00:00Z", "ahead": 1}
    client = client_of(me)
    assert get(client, f"/casts/{waiting.pk}/").json()["waiting_for"] == expected
    assert [cast["waiting_for"] for cast in get(client, "/casts/").json()["results"]] == [expected]
    other = CastFactory.create(initiator=me, status="running")
    assert get(client, f"/casts/{other.pk}/").json()["waiting_for"] is None


# The admin


def test_the_pages_of_a_provider_that_is_away_tell_since_when_and_why():
    provider = away()
    client = superuser()
    assert '<span class="badge is-failed">open</span>' in page(client, "spells_provider_changelist")
    for text in (page(client, "spells_provider_change", provider.pk), page(client, "casts_gate_change", provider.gate.pk)):
        assert "One tries at 12:00:00 UTC." in text
        assert "&lt;b&gt;It did not answer.&lt;/b&gt;" in text
        assert "Close the breaker" in text


def test_the_list_of_gates_counts_what_passes_and_what_waits():
    provider = ProviderFactory.create(slug="faraway", max_in_flight=5)
    gate = Gate.objects.create(provider=provider)
    tool = ToolFactory.create(provider=provider)
    step = StepFactory.create(tool=tool)
    row = CastFactory.create(version=step.version, status="running")
    GenerationFactory.create(cast=row, step=step, status="running")
    WaiterFactory.create(gate=gate)
    text = page(superuser(), "casts_gate_changelist")
    assert "1 of 5" in text
    assert '<td class="field-waiting">1</td>' in text


def test_the_page_of_a_cast_that_waits_says_where():
    row = CastFactory.create(status="running")
    WakeupFactory.create(cast=row, due_at=database_now().replace(year=2100))
    WaiterFactory.create(cast=row, gate=GateFactory.create(tool=ToolFactory.create(slug="far.tool")))
    assert "It waits for room at far.tool (next in line)." in page(superuser(), "casts_cast_change", row.pk)


def test_a_breaker_is_opened_and_closed_by_buttons_and_it_is_kept_who_and_why():
    provider = ProviderFactory.create(slug="faraway")
    client = superuser()
    assert "Open the breaker" in page(client, "spells_provider_change", provider.pk)
    for verb in ("open", "close"):
        answer = client.post(reverse("admin:spells_provider_breaker", args=[provider.pk, verb]), {"reason": f"To {verb}."})
        assert answer.status_code == 302
    events = GateEvent.objects.order_by("pk").values_list("kind", "actor", "by", "reason")
    name = client.user.get_username()
    assert list(events) == [("opened", client.user.pk, name, "To open."), ("closed", client.user.pk, name, "To close.")]
    assert "To open." in page(client, "spells_provider_change", provider.pk)


def test_a_breaker_is_only_for_operators_who_may_change_gates():
    provider = ProviderFactory.create()
    client = operator("spells.view_provider")
    assert "Open the breaker" not in page(client, "spells_provider_change", provider.pk)
    assert client.post(reverse("admin:spells_provider_breaker", args=[provider.pk, "open"])).status_code == 403
    assert superuser().post(reverse("admin:spells_provider_breaker", args=[provider.pk, "explode"])).status_code == 404
    assert superuser().post(reverse("admin:casts_gate_breaker", args=[2**62, "open"])).status_code == 404
    assert not Gate.objects.exists()


def test_limits_of_a_provider_are_checked_as_the_database_will():
    provider = ProviderFactory.create()
    address = reverse("admin:spells_provider_change", args=[provider.pk])
    given = {
        "slug": provider.slug,
        "name": "x",
        "failures_to_open": 5,
        "first_wait_seconds": 60,
        "max_wait_seconds": 30,
        "max_in_flight": 0,
    }
    text = superuser().post(address, given).content.decode()
    assert "The longest wait cannot be shorter than the first." in text
    assert "greater than or equal to 1" in text


# The command and the doctor


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("breaker", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_opens_and_closes():
    away()
    ProviderFactory.create(slug="near.by")
    listed = run("list")
    assert "faraway: open: no call starts, since 2026-01-01 12:00:00 UTC, next try at 12:00:00, 5 outages in a row" in listed
    assert "near.by: closed" in listed
    assert run("close", "faraway", "--reason", "They are back") == "The breaker of faraway is closed: calls go out.\n"
    UserFactory.create(username="ada")
    run("open", "near.by", "--user", "ada")
    assert "until it is closed by hand" in run("list")
    closed, opened = GateEvent.objects.order_by("pk")
    assert (closed.reason, closed.actor, "@" in closed.by) == ("They are back", None, True)
    assert (opened.reason, opened.actor.username, opened.by) == ("No reason was given.", "ada", "ada")


def test_the_command_says_what_it_does_not_know():
    ToolFactory.create(slug="far.tool", provider=ProviderFactory.create(slug="faraway"))
    ToolFactory.create(slug="alone")
    with pytest.raises(CommandError, match=r"no provider 'nowhere', and no tool. Providers: faraway"):
        run("open", "nowhere")
    with pytest.raises(CommandError, match="has the breaker of its provider: name faraway"):
        run("open", "far.tool")
    with pytest.raises(CommandError, match="no user 'eve'"):
        run("open", "alone", "--user", "eve")
    assert "alone is open" in run("open", "alone")


def test_the_doctor_names_providers_that_are_away():
    assert doctor._providers() == {"told": "none is known to be away"}
    away()
    found = doctor._providers()
    assert found["told"].startswith("faraway is open: no call starts, since 2026-01-01 12:00 UTC: ")
    assert "breaker close" in found["mend"]
    engine.close_breaker(owner=Provider.objects.get(), reason="x", by="ada")
    assert "mend" not in doctor._providers()
