from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from spells.models import OnFailure, PriceTable, Recovery, SpellVersion, Step, StepDependency, Visibility
from tests.constraints import Violation, Violations, assert_refused, cases
from tests.factories import ProviderFactory, SpellFactory, SpellVersionFactory, StepFactory, ToolFactory, UserFactory


def write_the_same_step_again() -> None:
    step: Step = StepFactory.create()
    step.save(force_insert=True)


def two_versions(**values: Any) -> None:
    SpellVersionFactory.create_batch(2, spell=SpellFactory(), **values)


def two_drafts() -> None:
    spell = SpellFactory()
    SpellVersionFactory(spell=spell, number=1)
    SpellVersionFactory(spell=spell, number=2)


def two_steps(**values: Any) -> None:
    StepFactory.create_batch(2, version=SpellVersionFactory(), **values)


def edge(*, version: SpellVersion | None = None, step: Step | None = None, depends_on: Step | None = None) -> StepDependency:
    """Write an edge between steps of one version, but for what is given."""
    home = version or SpellVersionFactory.create()
    return StepDependency.objects.create(
        version=home, step=step or StepFactory.create(version=home), depends_on=depends_on or StepFactory.create(version=home)
    )


def state_an_edge_twice() -> None:
    first = edge()
    edge(version=first.version, step=first.step, depends_on=first.depends_on)


def depend_on_itself() -> None:
    step: Step = StepFactory.create()
    edge(version=step.version, step=step, depends_on=step)


def write_a_price_table_twice() -> None:
    tool = ToolFactory.create(pricing={"per_call": "1"})
    PriceTable.objects.create(tool=tool, number=1, prices=tool.pricing, created_at=timezone.now())


VIOLATIONS: Violations = {
    "pricetable_number_is_unique_per_tool": [write_a_price_table_twice],
    "provider_lets_at_least_one_call_run": [partial(ProviderFactory, max_in_flight=0)],
    "provider_lets_at_least_one_call_start": [partial(ProviderFactory, max_per_minute=0)],
    "provider_opens_after_at_least_one_failure": [partial(ProviderFactory, failures_to_open=0)],
    "provider_wait_grows_to_its_maximum": [
        partial(ProviderFactory, first_wait_seconds=0),
        partial(ProviderFactory, first_wait_seconds=60, max_wait_seconds=30),
    ],
    "tool_lets_at_least_one_call_run": [partial(ToolFactory, max_in_flight=0)],
    "tool_lets_at_least_one_call_start": [partial(ToolFactory, max_per_minute=0)],
    "tool_effects_are_known": [partial(ToolFactory, effects="wild")],
    "tool_recovery_is_known": [partial(ToolFactory, recovery="prayer")],
    "tool_has_at_least_one_attempt": [partial(ToolFactory, max_attempts=0)],
    "tool_run_timeout_is_positive": [partial(ToolFactory, run_timeout_seconds=0)],
    "tool_deadline_is_positive": [partial(ToolFactory, deadline_seconds=0)],
    "tool_backoff_grows_to_its_maximum": [
        partial(ToolFactory, backoff_seconds=-0.1),
        partial(ToolFactory, backoff_seconds=2.0, max_backoff_seconds=1.0),
    ],
    "spell_owned_iff_not_of_a_tool": [
        partial(SpellFactory, owner=None),
        lambda: SpellFactory(owner=UserFactory(), tool=ToolFactory()),
    ],
    "spell_visibility_is_known": [partial(SpellFactory, visibility="hidden")],
    "spellversion_number_is_unique_per_spell": [partial(two_versions, number=1, published_at=timezone.now())],
    "spellversion_one_draft_per_spell": [two_drafts],
    "spellversion_numbers_start_at_one": [partial(SpellVersionFactory, number=0)],
    "step_position_is_unique_per_version": [partial(two_steps, position=1)],
    "step_key_is_unique_per_version": [partial(two_steps, key="twin")],
    "step_is_unique_with_its_version": [write_the_same_step_again],
    "step_is_unique_with_its_tool": [write_the_same_step_again],
    "step_on_failure_is_known": [partial(StepFactory, on_failure="panic")],
    "step_has_at_least_one_attempt": [partial(StepFactory, max_attempts=0)],
    "step_run_timeout_is_positive": [partial(StepFactory, run_timeout_seconds=0)],
    "step_deadline_is_positive": [partial(StepFactory, deadline_seconds=0)],
    "stepdependency_is_stated_once": [state_an_edge_twice],
    "stepdependency_is_not_on_itself": [depend_on_itself],
    "stepdependency_step_belongs_to_its_version": [lambda: edge(step=StepFactory.create())],
    "stepdependency_depends_on_a_step_of_its_version": [lambda: edge(depends_on=StepFactory.create())],
}


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "violate"), cases(VIOLATIONS))
def test_the_database_refuses(name: str, violate: Violation):
    assert_refused(name, violate)


@pytest.mark.django_db
@pytest.mark.parametrize("recovery", Recovery)
def test_a_tool_of_each_recovery_is_accepted(recovery: Recovery):
    assert ToolFactory.create(recovery=recovery).pk


@pytest.mark.django_db
@pytest.mark.parametrize("visibility", Visibility)
def test_a_spell_of_each_visibility_is_accepted(visibility: Visibility):
    assert SpellFactory.create(visibility=visibility).pk


@pytest.mark.django_db
@pytest.mark.parametrize("on_failure", OnFailure)
def test_a_step_of_each_way_to_fail_is_accepted(on_failure: OnFailure):
    assert StepFactory.create(on_failure=on_failure, max_attempts=1, run_timeout_seconds=1, deadline_seconds=1).pk


@pytest.mark.django_db
def test_a_spell_may_have_one_draft_beside_its_published_versions():
    spell = SpellFactory()
    for number in (1, 2):
        SpellVersionFactory(spell=spell, number=number, published_at=timezone.now())
    assert SpellVersionFactory.create(spell=spell, number=3).pk


@pytest.mark.django_db
def test_the_spell_of_a_tool_has_no_owner():
    assert SpellFactory.create(owner=None, tool=ToolFactory()).pk


@pytest.mark.django_db(transaction=True)
def test_an_edge_to_a_step_of_another_version_is_refused_at_the_commit():
    stranger = StepFactory.create()
    with pytest.raises(IntegrityError), transaction.atomic():
        edge(depends_on=stranger)
    assert not StepDependency.objects.exists()
