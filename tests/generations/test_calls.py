from typing import Any

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from generations import artifacts
from generations.artifacts import readable_by, readable_by_each, record
from generations.calls import Call, prepare
from generations.tools.contract import ToolError
from tests.factories import ToolFactory, UserFactory

pytestmark = pytest.mark.django_db


def kept(owner: Any, data: bytes = b"bytes"):
    stored = artifacts.store(data, mime_type="text/plain")
    for row in record([stored], owner_id=owner.pk, generation_id=None, now=timezone.now()):
        row.save()
    return stored


def call(owner, inputs, tool, *, attempt=1):
    return Call(
        generation_id=uuid7(),
        cast_id=uuid7(),
        owner_id=owner.pk,
        attempt=attempt,
        idempotency_key=uuid7(),
        inputs=inputs,
        tool=tool,
        timeout_seconds=5,
        deadline_seconds=90,
    )


def test_a_request_carries_what_its_call_and_its_tool_say():
    owner, tool = UserFactory(), ToolFactory(slug="test.made", config={"a": 1}, pricing={"per_call": "0.1"})
    order = call(owner, {"text": "x"}, tool, attempt=2)
    (request,) = prepare(calls=[order])
    for name in ("generation_id", "cast_id", "attempt", "idempotency_key", "inputs", "timeout_seconds", "deadline_seconds"):
        assert getattr(request, name) == getattr(order, name)
    assert (request.tool, request.config, request.pricing) == ("test.made", {"a": 1}, {"per_call": "0.1"})


def test_all_artefacts_of_all_calls_are_looked_up_in_one_query(django_assert_num_queries):
    mara, tobias, tool = UserFactory(), UserFactory(), ToolFactory()
    hers, his = kept(mara, b"hers"), kept(tobias, b"his")
    calls = [call(mara, {"a": {"b": [hers.reference()]}}, tool), call(tobias, {"c": his.reference()}, tool), call(mara, {}, tool)]
    with django_assert_num_queries(1):
        first, second, third = prepare(calls=calls)
    assert first.read(hers.reference()) == b"hers"
    assert second.read(his.reference()) == b"his"
    assert not third.workbench.made


def test_calls_without_artefacts_ask_for_none(django_assert_num_queries):
    owner, tool = UserFactory(), ToolFactory()
    with django_assert_num_queries(0):
        assert len(prepare(calls=[call(owner, {"artifact": "not an id"}, tool)] * 3)) == 3
        assert prepare(calls=[]) == []


def test_calls_that_may_have_been_sent_before_ask_for_their_first_sending_in_one_query(django_assert_num_queries):
    owner, tool = UserFactory(), ToolFactory()
    with django_assert_num_queries(1):
        prepare(calls=[call(owner, {}, tool, attempt=2), call(owner, {}, tool, attempt=3)])


def test_a_strangers_artefact_cannot_be_read():
    mara, tobias, tool = UserFactory(), UserFactory(), ToolFactory()
    his = kept(tobias)
    request, _ = prepare(calls=[call(mara, {"a": his.reference()}, tool), call(tobias, {"a": his.reference()}, tool)])
    with pytest.raises(ToolError, match="No artefact") as error:
        request.read(his.reference())
    assert error.value.permanent


def test_thousands_of_ids_are_looked_up_in_parts(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(artifacts, "MAX_IDS_PER_QUERY", 100)
    owner: Any = UserFactory()
    stored = kept(owner)
    with django_assert_num_queries(3):
        found = readable_by(owner.pk, [uuid7() for _ in range(249)] + [stored.id])
    assert found == {stored.id: stored}


def test_each_owner_is_told_only_of_their_own():
    mara: Any = UserFactory()
    tobias: Any = UserFactory()
    hers, his = kept(mara, b"a"), kept(tobias, b"b")
    both = {hers.id, his.id}
    assert readable_by_each({mara.pk: both, tobias.pk: both}) == {mara.pk: {hers.id: hers}, tobias.pk: {his.id: his}}
