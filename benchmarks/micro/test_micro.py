"""What the parts of a step take by themselves. They hold nothing: they are for whoever changes one of them, before and after."""

import json
from typing import Any
from uuid import uuid4

import pytest

from casts import engine
from casts.clock import database_now
from casts.engine import Advanced, Claim, Report, Via, rows, sql
from generations.models import Generation
from generations.tools.contract import Result
from spells import plan
from spells.expressions import compile_value
from spells.schemas import checker
from tests.casts.scenes import Unlimited, user, version

SET = 50
ROUNDS = 10
TEXT = "a" * 200

pytestmark = pytest.mark.django_db(transaction=True)


def published() -> Any:
    texts = ["{{ inputs.text }}", *(f"{{{{ steps.step{number}.text }}}}" for number in range(4))]
    steps = [{"key": f"step{number}", "params": {"text": text}} for number, text in enumerate(texts)]
    return version(*steps, inputs={"text": {"type": "string", "default": TEXT}}, outputs={"text": "{{ steps.step4.text }}"})


def claimed(pinned: Any) -> list[Claim]:
    """Start a set of casts, and claim it."""
    for _ in range(SET):
        engine.start(version=pinned, initiator_id=user().pk, inputs={}, now=database_now())
    return engine.claim(limit=SET)


def reports_of(advanced: Advanced) -> list[Report]:
    return [
        Report(generation_id=call.pk, claim=turn.state.claim, via=Via.RUN, news=Result(output={"text": TEXT}))
        for turn in advanced.turns
        for call in turn.calls
    ]


def test_an_expression_is_evaluated(benchmark: Any) -> None:
    params = compile_value({"text": "{{ steps.one.text }}", "list": ["{{ inputs.number + 1 }}", 2]}, path="params")
    namespace = {"inputs": {"number": 1}, "steps": {"one": {"text": TEXT}}}
    assert benchmark(params.evaluate, namespace) == {"text": TEXT, "list": [2, 2]}


def test_a_value_is_checked_by_its_schema(benchmark: Any) -> None:
    properties = {"text": {"type": "string"}, "size": {"type": "object", "properties": {"width": {"type": "integer", "minimum": 1}}}}
    ready = checker({"type": "object", "properties": properties, "required": ["text"], "additionalProperties": False})
    assert benchmark(ready.check, {"text": TEXT, "size": {"width": 512}}, path="params") == []


def test_rows_are_made_and_written(benchmark: Any) -> None:
    now, ids = database_now(), [uuid4() for _ in range(SET)]

    def write() -> str:
        made = [
            rows.new(Generation, cast_id=id_, version_id=1, step_id=2, tool_id=3, status="running", inputs={"text": TEXT}, created_at=now)
            for id_ in ids
        ]
        return sql.rows_parameter([{"id": each.id, "cast_id": each.cast_id, "inputs": each.inputs, "at": each.created_at} for each in made])

    assert len(json.loads(benchmark(write))) == SET


def test_a_plan_is_made(benchmark: Any) -> None:
    pinned = published()

    def make() -> plan.Plan:
        plan.forget(instance=pinned)
        return plan.plan_of(pinned.pk)

    assert len(benchmark(make).steps) == 5  # noqa: PLR2004 - those above


def test_a_plan_is_found(benchmark: Any) -> None:
    pinned = published()
    assert len(benchmark(plan.plan_of, pinned.pk).steps) == 5  # noqa: PLR2004 - those above


def test_a_set_is_advanced(benchmark: Any) -> None:
    pinned = published()

    def set_up() -> tuple[tuple[()], dict[str, Any]]:
        return (), {"claimed": claimed(pinned), "slots": Unlimited()}

    advanced = benchmark.pedantic(engine.advance, setup=set_up, rounds=ROUNDS)
    assert len(advanced.turns) == SET


def test_a_set_is_settled(benchmark: Any) -> None:
    pinned = published()

    def set_up() -> tuple[tuple[()], dict[str, Any]]:
        return (), {"reports": reports_of(engine.advance(claimed=claimed(pinned), slots=Unlimited())), "slots": Unlimited()}

    settled = benchmark.pedantic(engine.settle, setup=set_up, rounds=ROUNDS)
    assert len(settled.turns) == SET
