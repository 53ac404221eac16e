"""Plans: loaded with two queries, kept, ordered, evaluated."""

from typing import Any

import pytest
from django.utils import timezone

from spells import plan as plans
from spells.documents import from_data, save_draft
from spells.expressions import ExpressionError
from spells.models import SpellVersion
from spells.plan import MAX_ITEMS, Plan, plan_of
from tests.factories import SpellVersionFactory, ToolFactory, UserFactory, published

pytestmark = pytest.mark.django_db

STEPS: list[dict[str, Any]] = [
    {"key": "sheet", "tool": "t.sheet", "params": {"images": "{{ steps.art | map(attribute='image') | list }}", "title": "{{ inputs.theme }}!"}},
    {"key": "art", "tool": "t.paint", "for_each": "{{ steps.story.scenes }}", "when": "{{ item.n > 1 }}", "params": {"prompt": "{{ item.text }}", "n": ["{{ item_index }}"]}},
    {"key": "note", "tool": "t.note", "when": "{{ inputs.noted }}", "on_failure": "continue", "max_attempts": 2, "run_timeout": 5, "deadline": 60},
    {"key": "story", "tool": "t.scenes", "params": {"theme": "{{ inputs.theme }}"}},
]  # fmt: skip
INPUTS: dict[str, Any] = {"theme": {"type": "string"}, "noted": {"type": "boolean", "default": False}}
SCENES = [{"text": "a", "n": 1}, {"text": "b", "n": 2}]


def plan() -> Plan:
    return plan_of(
        published(steps=STEPS, inputs=INPUTS, outputs={"sheet": "{{ steps.sheet.image }}", "note": "{{ steps.note | default('none') }}"}).pk
    )


def test_a_plan_takes_two_queries_and_then_none(django_assert_num_queries: Any) -> None:
    version = published(steps=STEPS, inputs=INPUTS)
    with django_assert_num_queries(2):
        first = plan_of(version.pk)
        assert [step.tool_slug for step in first.steps]
        assert (first.spell_slug, first.number, first.spell_id) == (version.spell.slug, 1, version.spell_id)
    with django_assert_num_queries(0):
        assert plan_of(version.pk) is first


def test_steps_come_after_what_they_read_and_else_by_position() -> None:
    assert [step.key for step in plan().steps] == ["note", "story", "art", "sheet"]
    wide = [{"key": key, "tool": "t.a"} for key in "zyxwv"]
    assert [step.key for step in plan_of(published(steps=wide).pk).steps] == list("zyxwv")


def test_a_step_knows_what_it_depends_on() -> None:
    found = plan()
    ids = {step.key: step.id for step in found.steps}
    assert found.step("art").depends_on == found.step("art").reads == {ids["story"]}
    assert found.step("sheet").depends_on == {ids["art"]}
    assert found.step("note").depends_on == frozenset()
    assert found.output_reads == {ids["sheet"], ids["note"]}
    assert found.step(ids["note"]) is found.step("note")
    with pytest.raises(KeyError):
        found.step("lost")


def test_overrides_are_there_only_where_they_were_given() -> None:
    note, story = plan().step("note"), plan().step("story")
    assert (note.on_failure, note.max_attempts, note.run_timeout_seconds, note.deadline_seconds) == ("continue", 2, 5, 60)
    assert (story.on_failure, story.max_attempts, story.run_timeout_seconds, story.deadline_seconds) == ("fail", None, None, None)


def test_params_are_evaluated() -> None:
    art = plan().step("art")
    assert art.params({"inputs": {}, "steps": {}, "item": SCENES[1], "item_index": 1}) == {"prompt": "b", "n": [1]}
    sheet = plan().step("sheet")
    namespace = {"inputs": {"theme": "sea"}, "steps": {"art": [{"image": 1}, {"image": 2}]}}
    assert sheet.params(namespace) == {"images": [1, 2], "title": "sea!"}
    with pytest.raises(ExpressionError, match=r"^steps\.sheet\.params\.images: item 1 is null, so it has no 'image'"):
        sheet.params({"inputs": {"theme": "sea"}, "steps": {"art": [{"image": 1}, None]}})


def test_items_are_a_list() -> None:
    art = plan().step("art")
    assert art.has_for_each
    assert art.items({"inputs": {}, "steps": {"story": {"scenes": SCENES}}}) == SCENES
    assert art.items({"inputs": {}, "steps": {"story": {"scenes": []}}}) == []
    with pytest.raises(ExpressionError, match=r"^steps\.art\.for_each: gives no list but an object"):
        art.items({"inputs": {}, "steps": {"story": {"scenes": {"a": 1}}}})
    with pytest.raises(ExpressionError, match=r"^steps\.art\.for_each: step 'story' was skipped"):
        art.items({"inputs": {}, "steps": {"story": None}})


def test_items_are_bounded() -> None:
    art = plan().step("art")
    most = [0] * MAX_ITEMS
    assert len(art.items({"inputs": {}, "steps": {"story": {"scenes": most}}})) == MAX_ITEMS
    with pytest.raises(ExpressionError, match=r"^steps\.art\.for_each: gives 10,001 items; 10,000 are allowed"):
        art.items({"inputs": {}, "steps": {"story": {"scenes": [*most, 0]}}})


@pytest.mark.parametrize(
    ("value", "runs"), [(True, True), (False, False), (0, False), ("", False), (None, False), ([], False), ("false", True), ([0], True)]
)
def test_a_condition_holds_unless_it_is_empty(value: Any, *, runs: bool) -> None:
    version = published(steps=[{"key": "a", "tool": "t.a", "when": "{{ inputs.x }}"}], inputs={"x": {}})
    assert plan_of(version.pk).step("a").runs({"inputs": {"x": value}, "steps": {}}) is runs


def test_a_step_without_a_condition_runs() -> None:
    assert plan().step("story").runs({"inputs": {}, "steps": {}}) is True


def test_a_condition_may_be_another_one_for_each_item() -> None:
    art = plan().step("art")
    assert art.when_reads_item
    assert [art.runs({"inputs": {}, "steps": {}, "item": item, "item_index": 0}) for item in SCENES] == [False, True]
    assert not plan().step("note").when_reads_item


def test_a_condition_that_is_the_same_for_all_items_is_asked_before_them() -> None:
    step = {"key": "a", "tool": "t.a", "for_each": "{{ steps.b.list }}", "when": "{{ steps.b }}"}
    found = plan_of(published(steps=[step, {"key": "b", "tool": "t.b"}]).pk).step("a")
    assert found.items({"inputs": {}, "steps": {"b": None}}) == []
    assert found.items({"inputs": {}, "steps": {"b": {"list": [1]}}}) == [1]


def test_outputs_are_evaluated() -> None:
    found = plan()
    assert found.outputs({"inputs": {}, "steps": {"sheet": {"image": 1}, "note": None}}) == {"sheet": 1, "note": "none"}
    with pytest.raises(ExpressionError, match=r"^outputs\.sheet: steps\.sheet has no 'image'; it has: picture"):
        found.outputs({"inputs": {}, "steps": {"sheet": {"picture": 1}, "note": None}})


def test_a_falsy_input_is_never_another_value() -> None:
    version = published(steps=[{"key": "a", "tool": "t.a", "params": {"x": "{{ inputs.x }}"}}], inputs={"x": {"default": 5}})
    step = plan_of(version.pk).step("a")
    for falsy in (0, False, "", None):
        assert step.params({"inputs": {"x": falsy}, "steps": {}}) == {"x": falsy}


def test_a_param_that_was_not_given_is_not_filled_from_another() -> None:
    steps = [
        {"key": "a", "tool": "t.a", "params": {"prompt": "{{ inputs.prompt }}"}},
        {"key": "b", "tool": "t.a", "params": {"negative_prompt": ""}},
    ]
    found = plan_of(published(steps=steps, inputs={"prompt": {}}).pk)
    namespace = {"inputs": {"prompt": "sea"}, "steps": {}}
    assert found.step("a").params(namespace) == {"prompt": "sea"}
    assert found.step("b").params(namespace) == {"negative_prompt": ""}


def test_a_draft_has_a_plan_that_is_not_kept() -> None:
    ToolFactory(slug="t.a")
    owner = UserFactory.create()

    def save(*steps: dict[str, Any]) -> SpellVersion:
        return save_draft(document=from_data({"slug": "a", "steps": list(steps)}), owner=owner, now=timezone.now())

    version = save({"key": "b", "tool": "t.a", "when": "{{ steps.a }}"}, {"key": "a", "tool": "t.a"})
    assert [step.key for step in plan_of(version.pk).steps] == ["a", "b"]
    save({"key": "c", "tool": "t.a"})
    assert [step.key for step in plan_of(version.pk).steps] == ["c"]


def test_what_has_no_steps_has_no_plan() -> None:
    for version_id in (987_654, SpellVersionFactory.create().pk):
        with pytest.raises(SpellVersion.DoesNotExist, match=f"There is no version {version_id} with steps"):
            plan_of(version_id)


def test_plans_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MAX_KEPT", 2)
    versions = [published().pk for _ in range(3)]
    found = [plan_of(version_id) for version_id in versions]
    assert plan_of(versions[0]) is not found[0]
    assert plan_of(versions[2]) is found[2]
    assert len(plans._kept) == 2


def test_an_id_that_is_given_out_again_gets_its_own_plan() -> None:
    version = published()
    stale = plan_of(version.pk)
    SpellVersion(pk=version.pk, spell=version.spell, number=1)  # not saved: nothing changes
    assert plan_of(version.pk) is stale
    version.save()
    assert plan_of(version.pk) is not stale


def test_a_plan_cannot_be_changed() -> None:
    found = plan()
    with pytest.raises(AttributeError):
        found.number = 2  # type: ignore[misc]  # that is what is tested
    with pytest.raises(AttributeError):
        found.steps[0].key = "x"  # type: ignore[misc]  # that is what is tested
