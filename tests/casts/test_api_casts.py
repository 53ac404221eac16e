"""Casting over the API: what is asked for, what is refused, and what is told of it."""

import json
import tracemalloc
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from casts.casting import Order, _version_to_cast, place, references
from casts.clock import database_now
from casts.engine import InvalidInputsError, sql
from casts.metrics import tallies
from casts.models import Cast, CastEvent, Wakeup
from generations.models import Artifact
from generations.uploads import upload
from spells.documents import from_data, save_draft
from spells.models import Spell, SpellVersion, Tool
from tests.api import assert_problem, client_of, get, post, raw
from tests.casts.factories import ConductorProcessFactory
from tests.databases import database_under_test
from tests.factories import SpellFactory, ToolFactory, UserFactory, published

pytestmark = pytest.mark.django_db

CAST_NAMES = {
    "id",
    "spell",
    "version",
    "status",
    "inputs",
    "outputs",
    "error",
    "cost_usd",
    "max_cost_usd",
    "progress",
    "created_at",
    "started_at",
    "finished_at",
    "generations",
}
THEME = {"theme": {"type": "string", "minLength": 1}}


def story(owner=None, **more):
    return published(slug="story", owner=owner, inputs=THEME, **more)


def draft(owner, *, slug="story", **more):
    document = from_data({"slug": slug, "steps": [{"key": "only", "tool": ToolFactory.create(slug="test.any").slug}], **more})
    return save_draft(document=document, owner=owner, now=timezone.now())


def assert_nothing_written():
    assert not Cast.objects.exists()
    assert not Wakeup.objects.exists()
    assert not CastEvent.objects.exists()


def test_casting_answers_201_with_the_cast_and_its_address():
    ada = UserFactory.create()
    story(ada)
    response = post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"theme": "sea"}, "max_cost_usd": "0.50"})
    assert response.status_code == 201
    told = response.json()
    assert told.keys() >= CAST_NAMES
    assert response.headers["Location"] == f"https://testserver/api/v1/casts/{told['id']}/"
    assert (told["spell"], told["version"], told["status"]) == ("story", 1, "queued")
    assert told["inputs"] == {"theme": "sea"}
    assert (told["cost_usd"], told["max_cost_usd"]) == ("0", "0.5")
    assert told["progress"] == {"done": 0, "total": 1, "percent": 0}
    assert (told["outputs"], told["error"], told["started_at"], told["finished_at"]) == (None, None, None, None)
    assert told["created_at"].endswith("Z")
    assert told["generations"] == f"https://testserver/api/v1/casts/{told['id']}/generations/"
    cast = Cast.objects.get(pk=told["id"])
    assert cast.initiator == ada
    assert cast.max_cost_usd == Decimal("0.5")
    assert Wakeup.objects.filter(pk=cast.pk).exists()


@pytest.mark.parametrize(
    "more", [{}, {"max_cost_usd": "1.5"}, {"callback": {"url": "https://ada.example.org/", "secret": "whsec_" + "MTIz" * 8}}]
)
def test_a_new_cast_is_told_as_it_is_when_it_is_asked_for(more):
    ada = UserFactory.create()
    story(ada)
    client = client_of(ada)
    for headers in ({}, {"Idempotency-Key": "story-1"}):
        told = post(client, "/casts/", {"spell": "story", "inputs": {"theme": "sea"}, **more}, **headers).json()
        assert told == get(client, f"/casts/{told['id']}/").json()
        assert (told["initiator"], told["progress"]["total"]) == (ada.username, 1)


@pytest.mark.django_db(transaction=True)
def test_a_cast_takes_few_statements(django_assert_num_queries):
    """Who asks, what to cast and the clock, the rows of the cast, the doorbell; on PostgreSQL without a transaction around the rows."""
    ConductorProcessFactory.create(started_at=database_now(), alive_until=database_now().replace(year=2100))
    ada = UserFactory.create()
    story(ada)
    client, body = client_of(ada), {"spell": "story", "inputs": {"theme": "sea"}}
    tallies.hand_in()
    with django_assert_num_queries(4 if database_under_test() == "postgresql" else 7):
        assert post(client, "/casts/", body).status_code == 201


def test_a_cast_without_a_number_is_of_the_latest_published_version():
    ada = UserFactory.create()
    for _ in range(2):
        story(ada)
    draft(ada)
    client = client_of(ada)
    assert post(client, "/casts/", {"spell": "story", "inputs": {"theme": "sea"}}).json()["version"] == 2
    assert post(client, "/casts/", {"spell": "story@1", "inputs": {"theme": "sea"}}).json()["version"] == 1


def test_defaults_of_the_spell_are_filled_in():
    ada = UserFactory.create()
    published(slug="story", owner=ada, inputs={"theme": {"type": "string", "default": "a lighthouse"}})
    assert post(client_of(ada), "/casts/", {"spell": "story"}).json()["inputs"] == {"theme": "a lighthouse"}


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({}, "spell", "is missing"),
        ({"spell": 5}, "spell", "5 is not text"),
        ({"spell": None}, "spell", "null is not text"),
        ({"spell": ["story"]}, "spell", "a list is not text"),
        ({"spell": "No Such"}, "spell", "does not match"),
        ({"spell": "story@0"}, "spell", "does not match"),
        ({"spell": "x" * 500}, "spell", "longer than"),
        ({"spell": "story", "inputs": []}, "inputs", "a list is not an object"),
        ({"spell": "story", "inputs": None}, "inputs", "null is not an object"),
        ({"spell": "story", "max_cost_usd": 0.5}, "max_cost_usd", "0.5 is not text"),
        ({"spell": "story", "max_cost_usd": "-1"}, "max_cost_usd", "does not match"),
        ({"spell": "story", "max_cost_usd": "NaN"}, "max_cost_usd", "does not match"),
        ({"spell": "story", "max_cost_usd": "12345678901"}, "max_cost_usd", "does not match"),
        ({"spell": "story", "max_cost_usd": "0.12345678901"}, "max_cost_usd", "does not match"),
        ({"spell": "story", "maxcost": "1"}, "maxcost", "is unknown; did you mean"),
        ({"spell": "story", "status": "succeeded"}, "status", "is unknown"),
        ({"spell": "missing"}, "spell", "no spell 'missing'"),
        ({"spell": "story@7", "inputs": {"theme": "sea"}}, "spell", "no version 7"),
        ({"spell": "story"}, "inputs.theme", "is missing"),
        ({"spell": "story", "inputs": {"theme": 3}}, "inputs.theme", "3 is not text"),
        ({"spell": "story", "inputs": {"theme": ""}}, "inputs.theme", "shorter"),
        ({"spell": "story", "inputs": {"theme": "sea", "colour": "red"}}, "inputs.colour", "is unknown"),
    ],
)
def test_a_wrong_order_is_refused_with_the_place_and_nothing_is_written(body, path, words):
    ada = UserFactory.create()
    story(ada)
    told = assert_problem(post(client_of(ada), "/casts/", body), 422, path, name="invalid")
    assert words in told["errors"][0]["message"]
    assert path in told["detail"]
    assert_nothing_written()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", [None, "k"])
def test_a_cast_that_cannot_be_written_whole_leaves_nothing(monkeypatch, key):
    ada = UserFactory.create()
    story(ada)
    insert = sql.insert_together

    def insert_a_bad_event(cast, wakeup, event):
        event.at = None
        insert(cast, wakeup, event)

    monkeypatch.setattr(sql, "insert_together", insert_a_bad_event)
    headers = {} if key is None else {"Idempotency_Key": key}
    with pytest.raises(IntegrityError):
        post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"theme": "sea"}}, **headers)
    assert_nothing_written()


def test_a_database_that_goes_away_while_a_cast_is_written_is_told_of(monkeypatch):
    ada = UserFactory.create()
    story(ada)

    def fail(*_):
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(sql, "insert_together", fail)
    assert_problem(post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"theme": "sea"}}), 503, name="unavailable")
    assert_nothing_written()


@pytest.mark.parametrize("number", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("visibility", ["private", "listed", "public"])
def test_the_version_to_cast_is_that_of_the_orm(number, visibility):
    ada, eve, staff = UserFactory.create(), UserFactory.create(), UserFactory.create(is_staff=True)
    for _ in range(2):
        story(ada)
    draft(ada)
    published(slug="other", owner=eve)
    Spell.objects.filter(slug="story").update(visibility=visibility, tags=["ä"])
    for user in (ada, eve, staff):
        wanted = SpellVersion.objects.published() if number is None else SpellVersion.objects.filter(number=number)
        seen = Spell.objects.visible_to(user).filter(slug="story")
        expected = wanted.filter(spell__in=seen).select_related("spell").order_by("-number").first()
        before = database_now()
        found = _version_to_cast(slug="story", number=number, user=user)
        assert (found is None) == (expected is None)
        if found is not None:
            assert values_of(found.version) == values_of(expected)
            assert values_of(found.version.spell) == values_of(expected.spell)
            assert (found.steps, found.disabled) == (expected.steps.count(), None)
            assert before <= found.now <= database_now()


def values_of(row):
    return row and {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_a_spell_is_named_by_its_slug_and_never_by_its_id():
    ada = UserFactory.create()
    version = story(ada)
    for id_ in (version.spell_id, version.pk):
        told = assert_problem(post(client_of(ada), "/casts/", {"spell": str(id_), "inputs": {"theme": "sea"}}), 422, "spell")
        assert f"no spell '{id_}'" in told["errors"][0]["message"]
    assert_nothing_written()


@pytest.mark.parametrize("name", ["cost_usd", "price", "quote"])
def test_a_client_cannot_say_what_a_cast_costs(name):
    ada = UserFactory.create()
    story(ada)
    told = assert_problem(post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"theme": "sea"}, name: "0.01"}), 422, name)
    assert "is unknown" in told["errors"][0]["message"]
    assert_nothing_written()


@pytest.mark.parametrize("body", [[], "story", 5, None, True])
def test_a_body_that_is_no_object_is_refused(body):
    told = assert_problem(raw(client_of(UserFactory.create()), "/casts/", json.dumps(body).encode()), 422, "")
    assert "is not an object" in told["detail"]


def test_all_that_is_wrong_with_the_inputs_is_told_at_once():
    ada = UserFactory.create()
    story(ada)
    told = assert_problem(post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"colour": 1}}), 422)
    assert {error["path"] for error in told["errors"]} == {"inputs.theme", "inputs.colour"}
    assert told["detail"].endswith("(and 1 more)")


def test_inputs_above_the_limit_are_refused():
    ada = UserFactory.create()
    story(ada)
    told = assert_problem(post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"theme": "x" * 300_000}}), 422, "inputs")
    assert "262,144 bytes" in told["detail"]
    assert_nothing_written()


def test_inputs_above_the_limit_are_refused_before_they_are_searched_for_artefacts():
    """Deep and with many members: the places of all members together would be a thousand times as large as the body."""
    deep: Any = [1] * 300_000
    for _ in range(60):
        deep = {"k" * 64: deep}
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputsError):
            place(order=Order(spell="story", inputs=deep), user=story().spell.owner)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


def test_references_are_found_wherever_they_stand():
    one, two = uuid4(), uuid4()
    value = {"a": [1, {"artifact": str(one)}, {"b": {"artifact": str(two), "c": [{"artifact": "no id"}]}}], "artifact": 7}
    assert dict(references(value, path="inputs")) == {"inputs.a[1]": one, "inputs.a[2].b": two}


def test_a_spell_without_a_published_version_is_refused_to_its_owner_with_409():
    ada = UserFactory.create()
    draft(ada)
    told = assert_problem(post(client_of(ada), "/casts/", {"spell": "story"}), 409, "spell", name="not-published")
    assert "No version of story is published yet" in told["detail"]
    assert_problem(post(client_of(ada), "/casts/", {"spell": "story@1"}), 409, "spell", name="not-published")
    assert_nothing_written()


def test_to_others_a_draft_is_as_if_it_were_not():
    draft(UserFactory.create(), visibility="public")
    told = assert_problem(post(client_of(UserFactory.create()), "/casts/", {"spell": "story@1"}), 422, "spell")
    assert "has no version 1" in told["detail"]


def test_a_private_spell_of_somebody_else_is_as_if_it_were_not():
    story(UserFactory.create(), visibility="private")
    theirs = assert_problem(post(client_of(UserFactory.create()), "/casts/", {"spell": "story", "inputs": {"theme": "x"}}), 422, "spell")
    Spell.objects.filter(slug="story").update(slug="moved")
    missing = assert_problem(post(client_of(UserFactory.create()), "/casts/", {"spell": "story", "inputs": {"theme": "x"}}), 422, "spell")
    assert theirs == missing
    assert_nothing_written()


@pytest.mark.parametrize("visibility", ["listed", "public"])
def test_spells_that_are_listed_or_public_can_be_cast_by_others(visibility):
    story(UserFactory.create(), visibility=visibility)
    assert post(client_of(UserFactory.create()), "/casts/", {"spell": "story", "inputs": {"theme": "x"}}).status_code == 201


def test_a_spell_with_a_disabled_tool_is_refused_with_409():
    ada = UserFactory.create()
    story(ada)
    Tool.objects.update(enabled=False)
    told = assert_problem(post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"theme": "x"}}), 409, name="tool-disabled")
    assert "test.any" in told["detail"]
    assert_nothing_written()


def test_an_artefact_of_somebody_else_is_refused_with_its_place():
    ada = UserFactory.create()
    published(slug="story", owner=ada, inputs={"images": {"type": "array"}})
    mine, theirs = (
        upload(data=b"\x89PNG\r\n\x1a\n", name="a.png", claimed_type="", owner_id=owner.pk, now=timezone.now())
        for owner in (ada, UserFactory.create())
    )
    images = [mine.reference(), {"artifact": str(theirs.id)}]
    told = assert_problem(post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"images": images}}), 422, "inputs.images[1]")
    assert str(theirs.id) in told["detail"]
    assert_nothing_written()
    assert post(client_of(ada), "/casts/", {"spell": "story", "inputs": {"images": images[:1]}}).status_code == 201
    assert Artifact.objects.count() == 2


def test_a_repeat_under_the_same_key_gets_the_same_cast_with_200():
    ada = UserFactory.create()
    story(ada)
    client = client_of(ada)
    first = post(client, "/casts/", {"spell": "story", "inputs": {"theme": "sea"}}, Idempotency_Key="order-1")
    again = raw_with_key(client, b'{ "inputs": {"theme":"sea"},\n "spell": "story" }', "order-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["idempotency_key"] == "order-1"
    assert again.headers["Location"] == first.headers["Location"]
    assert Cast.objects.count() == 1
    assert CastEvent.objects.count() == 1


def raw_with_key(client, body, key):
    return client.post("/api/v1/casts/", body, content_type="application/json", headers={"Idempotency-Key": key})


def test_a_repeat_is_answered_whatever_became_of_the_spell():
    ada, author = UserFactory.create(), UserFactory.create()
    story(author, visibility="listed")
    order = {"spell": "story", "inputs": {"theme": "sea"}}
    first = post(client_of(ada), "/casts/", order, Idempotency_Key="k")
    published(slug="story", owner=author, inputs={"other": {"type": "string"}})  # private now, and asks for something else
    Tool.objects.update(enabled=False)
    again = post(client_of(ada), "/casts/", order, Idempotency_Key="k")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize(
    "other",
    [
        {"spell": "story", "inputs": {"theme": "forest"}},
        {"spell": "story@1", "inputs": {"theme": "sea"}},
        {"spell": "story", "inputs": {"theme": "sea"}, "max_cost_usd": "1"},
    ],
)
def test_a_key_that_was_used_for_another_body_is_refused(other):
    ada = UserFactory.create()
    story(ada)
    client = client_of(ada)
    post(client, "/casts/", {"spell": "story", "inputs": {"theme": "sea"}}, Idempotency_Key="k")
    told = assert_problem(post(client, "/casts/", other, Idempotency_Key="k"), 409, "Idempotency-Key", name="idempotency-key-reused")
    assert "k was used for another request" in told["detail"]
    assert Cast.objects.count() == 1


def test_two_users_may_use_the_same_key():
    story(UserFactory.create(), visibility="public")
    order = {"spell": "story", "inputs": {"theme": "sea"}}
    ids = {post(client_of(UserFactory.create()), "/casts/", order, Idempotency_Key="k").json()["id"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\x00b"])
def test_a_key_that_is_no_key_is_refused(key):
    ada = UserFactory.create()
    story(ada)
    order = {"spell": "story", "inputs": {"theme": "sea"}}
    assert_problem(post(client_of(ada), "/casts/", order, Idempotency_Key=key), 400, "Idempotency-Key")
    assert_nothing_written()


def test_a_tool_runs_on_its_own_as_a_cast_of_one_step():
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}
    ToolFactory.create(slug="test.shout", input_schema=schema)
    client = client_of(UserFactory.create())
    response = post(client, "/tools/test.shout/run/", {"inputs": {"text": "hey"}}, Idempotency_Key="k")
    assert response.status_code == 201
    assert (response.json()["spell"], response.json()["version"], response.json()["inputs"]) == ("tool-test-shout", 1, {"text": "hey"})
    assert post(client, "/tools/test.shout/run/", {"inputs": {"text": "hey"}}, Idempotency_Key="k").status_code == 200
    assert_problem(post(client, "/tools/test.shout/run/", {"inputs": {"text": "ho"}}, Idempotency_Key="k"), 409)
    assert_problem(post(client, "/casts/", {"spell": "tool-test-shout", "inputs": {"text": "hey"}}, Idempotency_Key="k"), 409)
    assert SpellVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "inputs.text"),
        ({"inputs": {"text": 1}}, "inputs.text"),
        ({"inputs": {"text": "a", "volume": 11}}, "inputs.volume"),
        ({"spell": "story"}, "spell"),
        ({"inputs": 1}, "inputs"),
    ],
)
def test_a_tool_is_not_run_with_wrong_inputs_and_nothing_is_written(body, path):
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}
    ToolFactory.create(slug="test.shout", input_schema=schema)
    assert_problem(post(client_of(UserFactory.create()), "/tools/test.shout/run/", body), 422, path)
    assert_nothing_written()
    assert not Spell.objects.exists()


def test_a_disabled_tool_is_not_run_and_nothing_is_written():
    ToolFactory.create(slug="test.shout", enabled=False)
    assert_problem(post(client_of(UserFactory.create()), "/tools/test.shout/run/", {"inputs": {}}), 409, name="tool-disabled")
    assert_nothing_written()
    assert not Spell.objects.exists()


def test_a_tool_that_does_not_exist_is_not_found():
    assert_problem(post(client_of(UserFactory.create()), "/tools/no.such/run/", {"inputs": {}}), 404)


def test_waiting_ends_with_the_cast(monkeypatch):
    ada = UserFactory.create()
    story(ada)
    order = {"spell": "story", "inputs": {"theme": "sea"}}
    first = post(client_of(ada), "/casts/", order, Idempotency_Key="k").json()
    now = timezone.now()
    Cast.objects.filter(pk=first["id"]).update(status="succeeded", outputs={"n": 1}, started_at=now, finished_at=now)
    again = post(client_of(ada), "/casts/", order, Idempotency_Key="k", Prefer="respond-async, wait=30")
    assert again.headers["Preference-Applied"] == "wait=30"
    assert again.json()["status"] == "succeeded"
    assert timezone.now() - now < timedelta(seconds=10)


@pytest.mark.parametrize(("preference", "applied"), [("wait=0", "wait=0"), ("WAIT = 0", "wait=0"), ('wait="0"', "wait=0")])
def test_a_wait_is_granted_and_told(preference, applied):
    story(UserFactory.create(), visibility="public")
    order = {"spell": "story", "inputs": {"theme": "sea"}}
    response = post(client_of(UserFactory.create()), "/casts/", order, Prefer=preference)
    assert response.status_code == 201
    assert response.headers["Preference-Applied"] == applied


@pytest.mark.parametrize("preference", ["", "wait", "wait=", "wait=-1", "wait=soon", "wait=1.5", "wait=9999999", "handling=strict"])
def test_a_preference_that_is_none_is_ignored(preference):
    story(UserFactory.create(), visibility="public")
    order = {"spell": "story", "inputs": {"theme": "sea"}}
    response = post(client_of(UserFactory.create()), "/casts/", order, Prefer=preference)
    assert response.status_code == 201
    assert "Preference-Applied" not in response.headers


def test_a_spell_of_the_same_slug_as_one_of_a_tool_keeps_its_slug():
    SpellFactory.create(slug="tool-test-shout")
    ToolFactory.create(slug="test.shout")
    assert post(client_of(UserFactory.create()), "/tools/test.shout/run/", {}).json()["spell"] == "tool-test-shout-2"


def test_a_new_schema_of_a_tool_makes_a_new_version_of_its_spell():
    tool = ToolFactory.create(slug="test.shout")
    client = client_of(UserFactory.create())
    versions = [post(client, "/tools/test.shout/run/", {}).json()["version"] for _ in range(2)]
    Tool.objects.filter(pk=tool.pk).update(input_schema={"type": "object", "description": "changed"})
    versions += [post(client, "/tools/test.shout/run/", {}).json()["version"] for _ in range(2)]
    assert versions == [1, 1, 2, 2]
    told = get(client, "/spells/tool-test-shout/versions/2/").json()
    assert told["input_schema"] == {"type": "object", "description": "changed"}
    assert told["document"] is None
