from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from casts.models import CastStatus
from generations.models import LIVE, Generation, GenerationStatus
from generations.models.callback import CallbackOutcome
from generations.models.cancellation import CancellationOutcome
from spells.models import Step
from tests.casts.factories import ERROR, NOON, ArtifactFactory, CallbackFactory, CancellationFactory, CastFactory, GenerationFactory
from tests.constraints import Violation, Violations, assert_refused, cases
from tests.factories import SpellVersionFactory, StepFactory, ToolFactory

PENDING, RUNNING, SUBMITTED = LIVE
SUCCEEDED, FAILED, CANCELLED = GenerationStatus.SUCCEEDED, GenerationStatus.FAILED, GenerationStatus.CANCELLED
SKIPPED, UNKNOWN = GenerationStatus.SKIPPED, GenerationStatus.UNKNOWN


def attempts(*statuses: GenerationStatus, attempt: int | None = None) -> list[Generation]:
    """Write one attempt after the other at one item of one step."""
    cast = CastFactory.create(status=CastStatus.RUNNING)
    step: Step = StepFactory.create(version=cast.version)
    return [
        GenerationFactory.create(cast=cast, step=step, status=status, attempt=attempt or number)
        for number, status in enumerate(statuses, start=1)
    ]


def receive_a_delivery_twice() -> None:
    generation = GenerationFactory.create()
    CallbackFactory.create_batch(2, generation=generation, delivery_id="again")


VIOLATIONS: Violations = {
    "generation_status_is_known": [partial(GenerationFactory, status="resting")],
    "generation_attempt_is_unique_per_step_item": [lambda: attempts(FAILED, FAILED, attempt=1)],
    "generation_one_live_per_step_item": [
        lambda: attempts(PENDING, PENDING),
        lambda: attempts(RUNNING, PENDING),
        lambda: attempts(SUBMITTED, RUNNING),
        lambda: attempts(UNKNOWN, RUNNING),
        lambda: attempts(UNKNOWN, UNKNOWN),
    ],
    "generation_one_success_per_step_item": [lambda: attempts(SUCCEEDED, SUCCEEDED)],
    "generation_cast_pins_its_version": [lambda: GenerationFactory(version=SpellVersionFactory())],
    "generation_step_belongs_to_its_version": [lambda: GenerationFactory(step=StepFactory())],
    "generation_tool_is_its_steps": [lambda: GenerationFactory(tool=ToolFactory())],
    "generation_excused_only_after_failure": [
        *[partial(GenerationFactory, status=status, excused=True) for status in GenerationStatus if status != FAILED]
    ],
    "generation_attempts_start_at_one": [partial(GenerationFactory, attempt=0)],
    "generation_finished_iff_ended": [
        *[partial(GenerationFactory, status=status, finished_at=NOON) for status in LIVE],
        *[partial(GenerationFactory, status=status, finished_at=None) for status in GenerationStatus if status not in LIVE],
    ],
    "generation_started_iff_called": [
        partial(GenerationFactory, status=PENDING, started_at=NOON),
        *[partial(GenerationFactory, status=status, started_at=None) for status in (RUNNING, SUBMITTED, SUCCEEDED, UNKNOWN)],
    ],
    "generation_output_iff_succeeded_or_skipped_with_one": [
        partial(GenerationFactory, status=SUCCEEDED, output=None),
        *[
            partial(GenerationFactory, status=status, output={"text": "early"})
            for status in (PENDING, RUNNING, SUBMITTED, FAILED, CANCELLED, UNKNOWN)
        ],
    ],
    "generation_error_iff_failed_or_unknown": [
        *[partial(GenerationFactory, status=status, error=None) for status in (FAILED, UNKNOWN)],
        *[partial(GenerationFactory, status=status, error=ERROR) for status in GenerationStatus if status not in (FAILED, UNKNOWN)],
    ],
    "generation_reason_iff_cancelled_or_skipped": [
        *[partial(GenerationFactory, status=status, reason="") for status in (CANCELLED, SKIPPED)],
        *[
            partial(GenerationFactory, status=status, reason="Just so.")
            for status in GenerationStatus
            if status not in (CANCELLED, SKIPPED)
        ],
    ],
    "generation_running_has_an_epoch": [partial(GenerationFactory, status=RUNNING, epoch=None)],
    "generation_retry_only_after_failure": [
        partial(GenerationFactory, status=status, retry_at=NOON) for status in GenerationStatus if status != FAILED
    ],
    "generation_poll_only_while_submitted": [
        partial(GenerationFactory, status=status, poll_at=NOON) for status in GenerationStatus if status != SUBMITTED
    ],
    "generation_booked_cost_is_known": [partial(GenerationFactory, cost_booked_at=NOON, cost_usd=None)],
    "generation_unfetched_iff_since_when": [
        partial(GenerationFactory, status=SUBMITTED, unfetched={"files": []}, unfetched_at=None),
        partial(GenerationFactory, status=SUBMITTED, unfetched=None, unfetched_at=NOON),
    ],
    "generation_cost_is_not_negative": [partial(GenerationFactory, cost_usd=Decimal("-0.0000000001"))],
    "artifact_sha256_is_lower_case_hex": [
        partial(ArtifactFactory, sha256="A" * 64),
        partial(ArtifactFactory, sha256="a" * 63),
        partial(ArtifactFactory, sha256="g" * 64),
        partial(ArtifactFactory, sha256=""),
    ],
    "artifact_has_a_mime_type": [partial(ArtifactFactory, mime_type="")],
    "callback_delivery_is_stored_once": [receive_a_delivery_twice],
    "cancellation_outcome_is_known": [partial(CancellationFactory, outcome="forgotten")],
    "cancellation_due_iff_pending": [
        partial(CancellationFactory, due_at=None),
        partial(CancellationFactory, outcome=CancellationOutcome.REFUSED, due_at=NOON),
    ],
    "cancellation_done_unless_pending": [
        partial(CancellationFactory, done_at=NOON),
        partial(CancellationFactory, outcome=CancellationOutcome.REQUESTED, done_at=None),
    ],
    "callback_due_iff_received": [
        partial(CallbackFactory, due_at=None),
        partial(CallbackFactory, outcome=CallbackOutcome.APPLIED, due_at=NOON),
    ],
    "callback_outcome_is_known": [partial(CallbackFactory, outcome="forgotten")],
    "callback_applied_iff_it_has_an_outcome": [
        partial(CallbackFactory, outcome=CallbackOutcome.RECEIVED, applied_at=NOON),
        partial(CallbackFactory, outcome=CallbackOutcome.APPLIED, applied_at=None),
        partial(CallbackFactory, outcome=CallbackOutcome.IGNORED, applied_at=None),
    ],
    "callback_orphaned_iff_without_generation": [
        partial(CallbackFactory, outcome=CallbackOutcome.ORPHANED),
        partial(CallbackFactory, outcome=CallbackOutcome.RECEIVED, generation=None),
    ],
}


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "violate"), cases(VIOLATIONS))
def test_the_database_refuses(name: str, violate: Violation):
    assert_refused(name, violate)


@pytest.mark.django_db
@pytest.mark.parametrize("owner", ["cast", "version", "step", "tool"])
def test_no_generation_is_without_its_cast_version_step_and_tool(owner: str):
    generation = GenerationFactory.create(status=RUNNING)
    with pytest.raises(IntegrityError, match=f"{owner}_id"), transaction.atomic():
        Generation.objects.filter(pk=generation.pk).update(**{owner: None})


@pytest.mark.django_db(transaction=True)
def test_a_generation_of_a_cast_that_does_not_exist_is_refused_at_the_commit():
    generation = GenerationFactory.create(status=RUNNING)
    with pytest.raises(IntegrityError), transaction.atomic():
        Generation.objects.filter(pk=generation.pk).update(cast=uuid7())
    assert Generation.objects.get().cast_id == generation.cast_id


@pytest.mark.django_db
@pytest.mark.parametrize("status", GenerationStatus)
def test_a_generation_of_each_status_is_accepted(status: GenerationStatus):
    assert GenerationFactory.create(status=status).finished_at == (None if status in LIVE else NOON)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [FAILED, CANCELLED, SKIPPED])
def test_a_generation_may_end_before_its_call(status: GenerationStatus):
    assert GenerationFactory.create(status=status, started_at=None).pk


@pytest.mark.django_db
def test_a_skipped_step_may_have_a_given_output():
    assert GenerationFactory.create(status=SKIPPED, output={"text": "given by an operator"}).pk


@pytest.mark.django_db
@pytest.mark.parametrize("before", [FAILED, CANCELLED, SKIPPED])
@pytest.mark.parametrize("after", [PENDING, RUNNING, SUBMITTED, UNKNOWN, SUCCEEDED])
def test_another_attempt_may_follow_one_that_came_to_nothing(before: GenerationStatus, after: GenerationStatus):
    assert len(attempts(before, after)) == 2


@pytest.mark.django_db
def test_items_and_steps_of_one_cast_run_side_by_side():
    first = GenerationFactory.create(status=RUNNING)
    GenerationFactory.create(cast=first.cast, step=first.step, item=1, status=RUNNING)
    GenerationFactory.create(cast=first.cast, status=RUNNING)
    assert first.cast.generations.live().count() == 3


@pytest.mark.django_db
def test_a_failed_attempt_may_be_due_again_and_a_submitted_one_be_asked_for():
    assert GenerationFactory.create(status=FAILED, retry_at=NOON + timedelta(seconds=1)).pk
    assert GenerationFactory.create(status=SUBMITTED, poll_at=NOON + timedelta(seconds=1)).pk


@pytest.mark.django_db
@pytest.mark.parametrize("outcome", CallbackOutcome)
def test_a_callback_of_each_outcome_is_accepted(outcome: CallbackOutcome):
    orphaned = {"generation": None} if outcome == CallbackOutcome.ORPHANED else {}
    assert CallbackFactory.create(outcome=outcome, **orphaned).pk


@pytest.mark.django_db
def test_two_providers_may_use_the_same_delivery_id():
    assert CallbackFactory.create(delivery_id="7").pk != CallbackFactory.create(delivery_id="7").pk


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wrong", ["step", "version"])
def test_a_generation_whose_step_is_not_of_the_version_of_its_cast_is_refused_at_the_commit(wrong: str):
    cast = CastFactory.create(status=CastStatus.RUNNING)
    other = StepFactory.create() if wrong == "step" else SpellVersionFactory.create()
    with pytest.raises(IntegrityError), transaction.atomic():
        GenerationFactory(cast=cast, **{wrong: other})
    assert not Generation.objects.exists()


@pytest.mark.django_db
def test_each_item_of_each_step_may_succeed_once():
    """Step and item are one number in the constraint: the last item of a step stands right before the first of the next."""
    cast = CastFactory.create(status=CastStatus.RUNNING)
    one: Step = StepFactory.create(version=cast.version)
    other: Step = StepFactory.create(version=cast.version, id=one.pk + 1)
    places = [(one, 0), (one, 1), (one, 2**31 - 1), (other, 0), (other, 2**31 - 1)]
    for step, item in places:
        GenerationFactory.create(cast=cast, step=step, item=item, status=SUCCEEDED)
    for step, item in places:
        with pytest.raises(IntegrityError), transaction.atomic():
            GenerationFactory.create(cast=cast, step=step, item=item, status=SUCCEEDED, attempt=2)
    last: Step = StepFactory.create(version=cast.version, id=2**32 - 1)
    GenerationFactory.create(cast=cast, step=last, item=2**31 - 1, status=SUCCEEDED)
