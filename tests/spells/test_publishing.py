"""What is known to be wrong before anything costs money, and that a published version is as it was checked."""

import threading
import time
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from spells.documents import Document, StepDocument, document_of, from_data, save_draft
from spells.models import SpellVersion, StepDependency, Tool
from spells.publishing import PublishError, publish, validate
from tests.factories import SpellVersionFactory, StepFactory, ToolFactory, UserFactory, published

IMAGE = {"type": "object", "properties": {"artifact": {"type": "string"}}, "required": ["artifact"], "additionalProperties": False}


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


@pytest.fixture(autouse=True)
def tools(db: None) -> None:
    scene = closed({"title": {"type": "string"}, "text": {"type": "string"}}, "text")
    ToolFactory(
        slug="text.scenes",
        input_schema=closed(
            {
                "theme": {"type": "string"},
                "count": {"type": "integer", "minimum": 1, "default": 3},
                "seed": {"type": "integer", "default": 0},
            },
            "theme",
            "count",
        ),
        output_schema=closed({"title": {"type": "string"}, "scenes": {"type": "array", "items": scene}}, "title", "scenes"),
    )
    ToolFactory(
        slug="image.paint",
        input_schema=closed(
            {"prompt": {"type": "string", "maxLength": 50}, "seed": {"type": "integer"}, "size": {"enum": ["small", "large"]}}, "prompt"
        ),
        output_schema=closed({"image": IMAGE}, "image"),
    )
    ToolFactory(
        slug="image.contact_sheet",
        input_schema=closed({"images": {"type": "array", "items": IMAGE, "minItems": 1}, "title": {"type": "string"}}, "images"),
        output_schema=closed({"image": IMAGE}, "image"),
    )
    ToolFactory(slug="any.open", output_schema={})
    ToolFactory(slug="any.off", enabled=False)


STORY = {"key": "story", "tool": "text.scenes", "params": {"theme": "{{ inputs.theme }}"}}
ART = {"key": "art", "tool": "image.paint", "for_each": "{{ steps.story.scenes }}", "params": {"prompt": "{{ item.text }}"}}
SHEET = {"key": "sheet", "tool": "image.contact_sheet", "params": {"images": "{{ steps.art | map(attribute='image') | list }}"}}
THEME = {"theme": {"type": "string", "default": "sea"}}


def document(*steps: dict[str, Any], inputs: dict[str, Any] | None = None, outputs: dict[str, Any] | None = None) -> Document:
    return from_data({"slug": "a-spell", "inputs": THEME if inputs is None else inputs, "steps": list(steps), "outputs": outputs or {}})


def told(*steps: dict[str, Any], **more: Any) -> list[str]:
    return [str(problem) for problem in validate(document(*steps, **more))]


def any_step(**params: Any) -> dict[str, Any]:
    return {"key": "only", "tool": "any.open", "params": params}


def test_the_example_has_no_problem() -> None:
    assert told(STORY, ART, SHEET, outputs={"sheet": "{{ steps.sheet.image }}", "title": "{{ steps.story.title }}"}) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ inputs.them }}", "inputs has no 'them'; did you mean 'theme'?"),
        ("{{ inputs.them | default('x') }}", "inputs has no 'them'; did you mean 'theme'?"),
        ("{{ inputs.theme.x }}", "inputs.theme is text, which has no 'x'"),
        ("{{ steps.stroy.title }}", "there is no step 'stroy'; did you mean 'story'?"),
        ("{{ steps.last.x }}", "step 'last' refers to itself"),
        ("{{ steps.story.scenez }}", "steps.story has no 'scenez'; did you mean 'scenes'?"),
        ("{{ steps.story.scenes[0].txt }}", "steps.story.scenes[0] has no 'txt'; did you mean 'text'?"),
        (
            "{{ steps.story.scenes.text }}",
            "steps.story.scenes is a list, which has no 'text'; its items may: steps.story.scenes[0].text, or steps.story.scenes | map(attribute='text')",
        ),
        ("{{ steps.story[0] }}", "steps.story is an object, which has no item 0"),
        (
            "{{ steps.art.image }}",
            "steps.art is a list, which has no 'image'; its items may: steps.art[0].image, or steps.art | map(attribute='image')",
        ),
        ("{{ steps.art[0].img }}", "steps.art[0] has no 'img'; did you mean 'image'?"),
        ("{{ steps.art | map(attribute='img') | list }}", "steps.art[…] has no 'img'; did you mean 'image'?"),
        ("{{ steps.art | select | map(attribute='image.url') | list }}", "steps.art[…].image has no 'url'; known: artifact"),
        ("{{ (steps.art | first).img }}", "steps.art[…] has no 'img'; did you mean 'image'?"),
        ("{{ item.text }}", "there is no item here; it exists only in the params and the condition of a step with for_each"),
        ("{{ item_index }}", "there is no item_index here; it exists only in the params and the condition of a step with for_each"),
        ("a {{ item_index }}", "there is no item_index here; it exists only in the params and the condition of a step with for_each"),
        ("{{ theme }}", "there is no 'theme' here; an input is written inputs.theme, the output of a step steps.theme"),
        ("{{ inputs.theme", "is no expression: unexpected end of template, expected 'end of print statement'. (line 1)"),
        ("{% if x %}", "statements ({% … %}) are not allowed; write an expression in {{ … }}, or {{ '{%' }} for the text itself"),
        ("{{ 'a' * 10**9 }}", "would make a text of 1,000,000,000 characters; 1,000,000 are allowed"),
        ("{{ 1 / 0 }}", "division by zero: 1 / 0"),
    ],
)
def test_expressions_are_checked_with_their_place(source: str, message: str) -> None:
    last = {"key": "last", "tool": "any.open", "params": {"a": [{"b": source}]}}
    assert told(STORY, ART, last) == [f"steps.last.params.a[0].b: {message}"]


def test_expressions_are_checked_wherever_they_stand() -> None:
    step = {**any_step(), "for_each": "{{ inputs.a }}", "when": "{{ inputs.b }}"}
    assert told(step, outputs={"c": ["{{ inputs.c }}"], "d": "{{ item }}"}, inputs={}) == [
        "steps.only.for_each: inputs has no 'a'; there is none",
        "steps.only.when: inputs has no 'b'; there is none",
        "outputs.c[0]: inputs has no 'c'; there is none",
        "outputs.d: there is no item here; it exists only in the params and the condition of a step with for_each",
    ]


@pytest.mark.parametrize(
    ("step", "problems"),
    [
        (
            any_step(x="{{ inputs.style }}"),
            ["steps.only.params.x: inputs.style is optional and may be missing; write {{ inputs.style | default(…) }}"],
        ),
        (
            any_step(x="a {{ inputs.style.name }}"),
            ["steps.only.params.x: inputs.style is optional and may be missing; write {{ inputs.style | default(…) }}"],
        ),
        (any_step(x="{{ inputs.style | default('plain') }}"), []),
        (any_step(x="{{ inputs.style.name | d }}"), []),
        (any_step(x="{{ inputs.style if inputs.style is defined else 'plain' }}"), []),
        (any_step(x="{{ inputs.style }}") | {"when": "{{ inputs.style is defined }}"}, []),
        (any_step(x="{{ inputs.given }}"), []),
        (any_step(x="{{ inputs }}"), []),
    ],
)
def test_an_optional_input_is_provided_for(step: dict[str, Any], problems: list[str]) -> None:
    assert told(step, inputs={"style": {"optional": True}, "given": {}}) == problems


@pytest.mark.parametrize("field", ["for_each", "when"])
@pytest.mark.parametrize("source", ["true", "steps.story.scenes", "{{ 1 }} and {{ 2 }}", "x {{ 1 }}", " "])
def test_conditions_and_lists_are_one_expression(field: str, source: str) -> None:
    assert told({**any_step(), field: source}) == [
        f"steps.only.{field}: must be one expression, like {{{{ inputs.theme }}}}, and nothing else"
    ]


def test_item_is_known_by_what_it_is_an_item_of() -> None:
    art = {**ART, "params": {"prompt": "{{ item.txt }}"}, "when": "{{ item.title != item_index }}"}
    assert told(STORY, art) == ["steps.art.params.prompt: item has no 'txt'; did you mean 'text'?"]
    assert told({**any_step(x="{{ item_index.y }}"), "for_each": "{{ range(3) }}"}) == [
        "steps.only.params.x: item_index is a number, which has no 'y'"
    ]
    assert told({**any_step(x="{{ item.anything }}"), "for_each": "{{ inputs.theme | split }}"}) == []
    assert told({**any_step(), "for_each": "{{ item }}"}) == [
        "steps.only.for_each: there is no item here; it exists only in the params and the condition of a step with for_each"
    ]


def test_for_each_needs_a_list() -> None:
    problem = "gives no list; for an object write | items, for one value [ … ]"
    assert told({**any_step(), "for_each": "{{ inputs.theme }}"}) == [f"steps.only.for_each: {problem}"]
    assert told(STORY, {**ART, "for_each": "{{ steps.story }}", "params": {"prompt": "x"}}) == [f"steps.art.for_each: {problem}"]


def test_a_spell_needs_a_step() -> None:
    assert told() == ["steps: is empty: a spell needs at least one step"]


def test_keys_are_unique() -> None:
    assert told(any_step(), any_step()) == ["steps.only: two steps have this key"]


def test_tools_exist_and_are_enabled() -> None:
    assert told({"key": "a", "tool": "image.pant"}) == ["steps.a.tool: there is no tool 'image.pant'; did you mean 'image.paint'?"]
    assert told({"key": "a", "tool": "any.off"}) == ["steps.a.tool: the tool any.off is disabled"]


@pytest.mark.parametrize(
    ("params", "problems"),
    [
        ({"theme": "sea"}, []),
        ({"theme": "{{ inputs.theme }}", "count": "{{ inputs.theme | length }}"}, []),
        ({}, ["steps.story.params.theme: is missing"]),
        ({"theme": "x", "thme": "x"}, ["steps.story.params.thme: is unknown; did you mean 'theme'?"]),
        ({"theme": "x", "count": "three"}, ["steps.story.params.count: 'three' is not an integer"]),
        ({"theme": "x", "count": 0}, ["steps.story.params.count: 0 is less than 1"]),
        ({"theme": "x", "count": "{{ 0 }}"}, ["steps.story.params.count: 0 is less than 1"]),
        ({"theme": "x", "count": "{{ '3' }}"}, ["steps.story.params.count: '3' is not an integer"]),
        ({"theme": "x", "count": "{{ '3' | int }}"}, []),
        ({"theme": "x", "count": "a {{ inputs.theme }}"}, ["steps.story.params.count: what the expression gives, text, is not an integer"]),
        ({"theme": "x", "count": "{{ inputs.theme }}"}, ["steps.story.params.count: what the expression gives, text, is not an integer"]),
        ({"theme": ["x"]}, ["steps.story.params.theme: a list is not text"]),
        ({"theme": None}, ["steps.story.params.theme: null is not text"]),
    ],
)
def test_params_are_checked_as_far_as_they_are_known(params: dict[str, Any], problems: list[str]) -> None:
    assert told({**STORY, "params": params}) == problems


def test_params_inside_lists_and_objects_are_checked_too() -> None:
    image = "{{ steps.art[0].image }}"
    assert told(STORY, ART, {**SHEET, "params": {"images": [image, {"artifact": "x"}]}}) == []
    assert told(STORY, ART, {**SHEET, "params": {"images": [image, {"artefact": "x"}]}}) == [
        "steps.sheet.params.images[1].artifact: is missing",
        "steps.sheet.params.images[1].artefact: is unknown; did you mean 'artifact'?",
    ]
    assert told(STORY, ART, {**SHEET, "params": {"images": [image, 5]}}) == ["steps.sheet.params.images[1]: 5 is not an object"]
    assert told(STORY, ART, {**SHEET, "params": {"images": image}}) == [
        "steps.sheet.params.images: what the expression gives, an object, is not a list"
    ]
    assert told(STORY, ART, {**SHEET, "params": {"images": []}}) == ["steps.sheet.params.images: has fewer than 1 items"]


def test_two_params_of_one_name_in_two_steps_are_two() -> None:
    first, second = ({**ART, "key": key, "for_each": "", "params": {"prompt": prompt}} for key, prompt in (("one", "sea"), ("two", 5)))
    assert told(first, second) == ["steps.two.params.prompt: 5 is not text"]


def test_a_cycle_is_named() -> None:
    steps: list[dict[str, Any]] = [
        {"key": "a", "tool": "any.open", "params": {"x": "{{ steps.b.y }}"}},
        {"key": "b", "tool": "any.open", "when": "{{ steps.c }}"},
        {"key": "c", "tool": "any.open", "for_each": "{{ steps.a.z }}"},
        {"key": "d", "tool": "any.open", "params": {"x": "{{ steps.a }}"}},
    ]
    (problem,) = told(*steps)
    place, _, circle = problem.partition(": waits for itself: ")
    keys = circle.split(" → ")
    assert place == f"steps.{keys[0]}"
    assert keys[0] == keys[-1]
    assert "→".join(keys) in {"a→b→c→a", "b→c→a→b", "c→a→b→c"}


def test_a_step_may_read_one_that_is_written_after_it() -> None:
    assert told(SHEET, ART, STORY) == []


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"a": {"type": "strin"}}, "inputs.a.type: is no JSON Schema: 'strin' is not valid under any of the given schemas"),
        ({"a": {"type": "integer", "default": "x"}}, "inputs.a.default: 'x' is not an integer"),
        ({"a": {"type": "string", "minLength": 3, "default": "x"}}, "inputs.a.default: 'x' is shorter than 3 characters"),
        (
            {"a": {"$ref": "https://example.org/x.json"}},
            "inputs.a['$ref']: 'https://example.org/x.json' leaves this schema; only places in it, like #/$defs/name, can be referred to",
        ),
        (
            {"a": {"pattern": "(?<=x)"}},
            "inputs.a.pattern: '(?<=x)' is no pattern that can be matched in linear time (RE2): invalid perl operator: (?<=",
        ),
        ({"a": {"optional": False}}, "inputs.a.optional: can only be true; an input without it must be given"),
        ({"a": {"optional": True, "default": 1}}, "inputs.a.optional: is not needed: an input with a default need not be given"),
        ({"a": {"required": False}}, "inputs.a.required: write `optional: true` for an input that need not be given"),
    ],
)
def test_the_schemas_of_inputs_are_checked(inputs: dict[str, Any], problem: str) -> None:
    assert problem in told(any_step(), inputs=inputs)


def test_a_document_that_is_too_large_is_refused() -> None:
    steps = tuple(StepDocument(key=f"k{n}", tool="any.open", params={"x": "y" * 60_000}) for n in range(5))
    large = Document(slug="large", name="Large", steps=steps)
    assert [str(problem) for problem in validate(large)] == ["is larger than the 262,144 bytes that are allowed"]


def test_no_more_problems_are_told_than_anybody_reads_and_soon() -> None:
    steps = [any_step(**{f"p{m}": f"{{{{ steps.lost{m}.x }}}}" for m in range(20)}) | {"key": f"k{n}"} for n in range(100)]
    started = time.thread_time()
    assert len(told(*steps)) == 50
    assert time.thread_time() - started < 5


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["{{1}}"] * 25_000, "steps.only.params.x[5000]: is one too many: a value has at most 5,000 expressions"),
        (["{{1}}" * 1_600] * 30, "steps.only.params.x[3]: is one too many: a value has at most 5,000 expressions"),
        (["{{ range(99999) | list | length }}"] * 4_000, "steps.only.params.x[0]: needs more work than one expression may do"),
        (["{{ range(49999) | length }}"] * 4_000, "steps.only.params.x[3]: needs more work than one expression may do"),
    ],
)
def test_checking_a_document_is_bounded(values: list[str], problem: str) -> None:
    started = time.thread_time()
    assert told(any_step(x=values)) == [problem]
    assert time.thread_time() - started < 5


def test_a_spell_has_a_bounded_number_of_expressions() -> None:
    steps = [any_step(x=["{{ 1 }}"] * 100) | {"key": f"k{n}"} for n in range(60)]
    assert told(*steps) == ["has more than 5,000 expressions"]


def test_what_costs_too_much_to_foresee_is_left_to_the_cast() -> None:
    steps = [any_step(x=["{{ range(49999) | length }}"] * 3) | {"key": f"k{n}"} for n in range(40)]
    started = time.thread_time()
    assert told(*steps) == []
    assert time.thread_time() - started < 5


def test_validate_writes_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert told(STORY, ART, SHEET) == []
    assert not SpellVersion.objects.exists()


def draft(*steps: dict[str, Any], **more: Any) -> SpellVersion:
    return save_draft(document=document(*steps, **more), owner=UserFactory.create(), now=timezone.now())


def test_publishing_writes_the_edges_and_marks_the_version() -> None:
    version = draft(SHEET, {**ART, "when": "{{ steps.story.title }}"}, STORY, outputs={"x": "{{ steps.sheet.image }}"})
    now = timezone.now()
    assert publish(version_id=version.pk, now=now).published_at == now
    version.refresh_from_db()
    assert version.published_at == now
    edges = StepDependency.objects.filter(version=version).values_list("step__key", "depends_on__key")
    assert set(edges) == {("sheet", "art"), ("art", "story")}


def test_what_is_wrong_is_not_published() -> None:
    version = draft(any_step(x="{{ steps.lost }}"))
    with pytest.raises(PublishError) as caught:
        publish(version_id=version.pk, now=timezone.now())
    assert [str(problem) for problem in caught.value.problems] == ["steps.only.params.x: there is no step 'lost'; known: only"]
    assert [str(problem) for problem in validate(version)] == ["steps.only.params.x: there is no step 'lost'; known: only"]
    version.refresh_from_db()
    assert not version.is_published
    assert not StepDependency.objects.exists()


def test_a_version_is_published_once() -> None:
    version = published()
    with pytest.raises(PublishError, match="version 1 of published-1 is published already"):
        publish(version_id=version.pk, now=timezone.now())


def test_a_version_that_does_not_exist_is_not_published() -> None:
    with pytest.raises(SpellVersion.DoesNotExist):
        publish(version_id=987_654, now=timezone.now())


def test_a_published_version_takes_only_the_inputs_that_it_names() -> None:
    version = SpellVersionFactory.create(input_schema={})
    StepFactory(version=version)
    publish(version_id=version.pk, now=timezone.now())
    version.refresh_from_db()
    assert version.input_schema == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def test_rows_made_otherwise_are_checked_like_documents() -> None:
    version = SpellVersionFactory.create(input_schema={"type": "object", "minProperties": 1})
    StepFactory(version=version)
    problems = ["input_schema: must describe an object by properties and required alone"]
    assert [str(problem) for problem in validate(version)] == problems
    with pytest.raises(PublishError, match=problems[0]):
        publish(version_id=version.pk, now=timezone.now())
    broken = SpellVersionFactory.create()
    StepFactory(version=broken, key="Bad Key", params=["a"])
    assert any("does not match the pattern" in str(problem) for problem in validate(broken))
    assert any("is not an object" in str(problem) for problem in validate(broken))


def test_a_spell_edited_after_publishing_gets_a_new_version() -> None:
    version = published(steps=[any_step(x=1)], slug="lasting")
    again = published(steps=[any_step(x=2)], slug="lasting")
    assert (version.number, again.number) == (1, 2)
    (step,) = document_of(SpellVersion.objects.get(pk=version.pk)).steps
    assert step.params == {"x": 1}


def test_a_tool_that_changed_is_judged_as_it_is_now() -> None:
    version = draft(STORY)
    Tool.objects.filter(slug="text.scenes").update(input_schema=closed({"topic": {"type": "string"}}, "topic"))
    with pytest.raises(PublishError, match=r"steps\.story\.params\.topic: is missing"):
        publish(version_id=version.pk, now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_no_step_slips_in_while_a_version_is_published() -> None:
    """On PostgreSQL the writer waits for the publisher's lock, on SQLite for the only write transaction."""
    version = draft(any_step())
    begun, outcome = threading.Event(), []

    def slip_in() -> None:
        begun.set()
        try:
            StepFactory(version=version, key="late", tool=Tool.objects.get(slug="any.open"))
            outcome.append("added")
        except Exception as error:  # noqa: BLE001 - whatever it was is compared below
            outcome.append(str(error))
        finally:
            connection.close()

    with transaction.atomic():
        publish(version_id=version.pk, now=timezone.now())
        thread = threading.Thread(target=slip_in)
        thread.start()
        begun.wait()
        thread.join(timeout=0.3)
        assert thread.is_alive(), outcome
    thread.join(timeout=30)
    assert len(outcome) == 1
    assert "published" in outcome[0]
    assert list(version.steps.values_list("key", flat=True)) == ["only"]


@pytest.mark.django_db(transaction=True)
def test_many_publishers_publish_once() -> None:
    version = draft(STORY, ART)
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            publish(version_id=version.pk, now=timezone.now())
            outcomes.append("published")
        except PublishError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(outcomes) == ["published"] + ["refused"] * 4
    assert StepDependency.objects.filter(version=version).count() == 1
