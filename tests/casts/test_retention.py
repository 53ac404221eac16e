"""What is kept no longer: whole casts that ended long ago, never what is open or in use."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from casts import retention, tasks
from casts.cooks.collecting import Plan, keep
from casts.models import Alert, Cast, CastStatus, CollectionArtifact, Gate, GateEvent, Notification, Subscription
from casts.models.gate import GateEventKind
from casts.models.notification import NotificationKind
from casts.retention import Pruned, prune
from generations.artifacts import folder, note_use, path_of, store
from generations.models import Artifact, Callback, Cancellation, Generation, GenerationStatus
from generations.models.callback import CallbackOutcome
from generations.models.cancellation import CancellationOutcome
from generations.sweeping import GRACE, sweep
from tests.api import client_of
from tests.casts.factories import (
    NOON,
    AlertFactory,
    AlertMailFactory,
    ArtifactFactory,
    CallbackFactory,
    CancellationFactory,
    CastEventFactory,
    CastFactory,
    CollectionFactory,
    CookFactory,
    DeliveryFactory,
    FanOutFactory,
    GateFactory,
    GenerationFactory,
    NotificationFactory,
    PieceAttemptFactory,
    PieceFactory,
    SubscriptionFactory,
)
from tests.factories import UserFactory, published

pytestmark = pytest.mark.django_db

AGE = timedelta(days=30)
LATER = NOON + AGE + timedelta(seconds=1)
OURS = [model for app in ("spells", "casts", "generations") for model in apps.get_app_config(app).get_models()]


def counts() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in OURS}


def ended_cast(**values: Any) -> Cast:
    """A cast that succeeded at noon, with one generation that cost money and made an artefact."""
    cast = CastFactory.create(status=CastStatus.SUCCEEDED, **{"cost_usd": Decimal("0.25"), **values})
    generation = GenerationFactory.create(cast=cast, status=GenerationStatus.SUCCEEDED, cost_usd=Decimal("0.25"))
    ArtifactFactory.create(generation=generation, owner=cast.initiator)
    return cast


def with_all_that_hangs_on_it(cast: Cast) -> Cast:
    generation = cast.generations.get()
    CastEventFactory.create(cast=cast)
    FanOutFactory.create(cast=cast)
    NotificationFactory.create(cast=cast)
    own = SubscriptionFactory.create(owner=cast.initiator, cast=cast)
    DeliveryFactory.create(notification=NotificationFactory.create(cast=cast, channel="webhook", subscription=own))
    CallbackFactory.create(generation=generation, outcome=CallbackOutcome.APPLIED)
    CancellationFactory.create(generation=generation, outcome=CancellationOutcome.REQUESTED)
    GateFactory.create(tool=generation.tool, state="half_open", since=NOON, probe=generation)
    return cast


def test_a_cast_that_ended_long_ago_goes_with_all_that_hangs_on_it_and_nothing_else():
    with_all_that_hangs_on_it(ended_cast())
    kept = with_all_that_hangs_on_it(ended_cast(created_at=NOON + timedelta(days=1)))
    before = counts()
    pruned = prune(now=LATER, age=AGE)
    assert (pruned.casts, pruned.generations, pruned.artifacts, pruned.cost_usd) == (1, 1, 1, Decimal("0.25"))
    gone = {name: number - counts()[name] for name, number in before.items() if number != counts()[name]}
    assert gone == {
        "Cast": 1,
        "Generation": 1,
        "Artifact": 1,
        "CastEvent": 1,
        "FanOut": 1,
        "Notification": 2,
        "Delivery": 1,
        "Subscription": 1,
        "Callback": 1,
        "Cancellation": 1,
    }
    assert pruned.other_rows == sum(gone.values()) - 3
    assert Cast.objects.get() == kept
    assert Gate.objects.filter(probe=None).count() == 1


@pytest.mark.parametrize("status", [CastStatus.SUCCEEDED, CastStatus.FAILED, CastStatus.CANCELLED])
def test_whatever_ended_goes(status: CastStatus):
    CastFactory.create(status=status)
    assert prune(now=LATER, age=AGE).casts == 1


@pytest.mark.parametrize("status", [CastStatus.QUEUED, CastStatus.RUNNING, CastStatus.PAUSED])
def test_whatever_has_not_ended_stays_however_old(status: CastStatus):
    CastFactory.create(status=status)
    assert prune(now=LATER + timedelta(days=9999), age=AGE) == Pruned()
    assert Cast.objects.count() == 1


def unknown_call(cast: Cast) -> None:
    GenerationFactory.create(cast=cast, status=GenerationStatus.UNKNOWN, attempt=2, item=1)


def job_that_runs(cast: Cast) -> None:
    GenerationFactory.create(cast=cast, status=GenerationStatus.SUBMITTED, job_id="job-7", item=1)


def message_to_send(cast: Cast) -> None:
    NotificationFactory.create(cast=cast, channel="webhook", due_at=NOON)


def news_to_apply(cast: Cast) -> None:
    CallbackFactory.create(generation=cast.generations.get())


def job_to_stop(cast: Cast) -> None:
    Cancellation.objects.filter(generation__cast=cast).update(outcome=CancellationOutcome.PENDING, due_at=NOON, done_at=None)


@pytest.mark.parametrize("open_thing", [unknown_call, job_that_runs, message_to_send, news_to_apply, job_to_stop])
def test_a_cast_stays_whole_while_something_of_it_is_open(open_thing: Any):
    cast = with_all_that_hangs_on_it(ended_cast())
    open_thing(cast)
    other = ended_cast()
    before = counts()
    assert prune(now=LATER, age=AGE, dry_run=True).open == 1
    pruned = prune(now=LATER, age=AGE)
    assert (pruned.casts, pruned.open) == (1, 1)
    assert Cast.objects.get() == cast
    assert not Cast.objects.filter(pk=other.pk).exists()
    assert counts() == {**before, "Cast": before["Cast"] - 1, "Generation": before["Generation"] - 1, "Artifact": before["Artifact"] - 1}


def test_casts_of_pieces_stay_however_old_with_all_that_they_made():
    cast = ended_cast()
    piece = PieceFactory.create(cook=CookFactory.create(collection__version=cast.version, collection__owner=cast.initiator), status="made")
    PieceAttemptFactory.create(piece=piece, cast=cast, status="made")
    before = counts()
    assert prune(now=LATER, age=AGE, dry_run=True).casts == 0
    assert prune(now=LATER, age=AGE) == Pruned()
    assert counts() == before


def test_a_dry_run_tells_the_same_and_changes_nothing(artifact_folder: Path):
    with_all_that_hangs_on_it(ended_cast())
    unknown_call(ended_cast())
    CallbackFactory.create(generation=None, outcome=CallbackOutcome.ORPHANED)
    old_file()
    before = counts()
    would = prune(now=LATER, age=AGE, dry_run=True)
    assert counts() == before
    assert would.files == 1
    assert would == prune(now=LATER, age=AGE)


def test_it_goes_on_behind_what_stays_and_takes_all_however_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "CASTS_AT_ONCE", 2)
    version = published()
    for number in range(7):
        cast = CastFactory.create(version=version, status=CastStatus.SUCCEEDED)  # all ended at one time
        if number % 2:
            GenerationFactory.create(cast=cast, step=version.steps.get(), status=GenerationStatus.UNKNOWN)
    told: list[int] = []
    pruned = prune(now=LATER, age=AGE, progress=lambda so_far: told.append(so_far.casts))
    assert (pruned.casts, pruned.open) == (4, 3)
    assert told == sorted(told)
    assert len(told) >= 4
    assert prune(now=LATER, age=AGE).casts == 0


def test_it_stops_when_its_time_is_up_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "CASTS_AT_ONCE", 1)
    CastFactory.create_batch(3, status=CastStatus.SUCCEEDED)
    nothing = prune(now=LATER, age=AGE, give_up_at=time.monotonic())
    assert (nothing.casts, nothing.complete) == (0, False)
    assert prune(now=LATER, age=AGE).casts == 3


def test_a_batch_takes_as_many_statements_for_fifty_casts_as_for_one():
    version = published()

    def statements(casts: int) -> int:
        for _ in range(casts):
            cast = CastFactory.create(version=version, status=CastStatus.SUCCEEDED)
            for attempt in (1, 2):
                GenerationFactory.create(cast=cast, step=version.steps.get(), status=GenerationStatus.FAILED, attempt=attempt)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert prune(now=LATER, age=AGE).casts == casts
        return len(captured)

    assert statements(50) == statements(1)


def test_candidates_are_found_by_an_index():
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        explained = Cast.objects.filter(finished_at__lt=LATER).order_by("finished_at", "pk")[:100].explain()
    assert "cast_by_end" in explained


@pytest.mark.postgresql
def test_no_message_is_read_but_those_that_hang_on_the_casts():
    cast = CastFactory.create(status=CastStatus.SUCCEEDED)
    of_messages = [rows for rows in retention._leaves([cast.pk]) if rows.model is Notification]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    told = [rows.explain() for rows in of_messages]
    assert len(told) == 2
    assert not any("Seq Scan" in each for each in told), told


class TestArtefacts:
    def test_one_that_a_younger_cast_was_given_outlives_its_maker(self):
        old = ended_cast()
        given = Artifact.objects.get()
        spare = ArtifactFactory.create(generation=old.generations.get(), owner=old.initiator)
        published(slug="frame", owner=old.initiator, inputs={"picture": {"type": "object"}})
        answer = client_of(old.initiator).post(
            "/api/v1/casts/", {"spell": "frame", "inputs": {"picture": {"artifact": str(given.pk)}}}, "application/json"
        )
        assert answer.status_code == 201, answer.json()
        pruned = prune(now=LATER, age=AGE)
        assert (pruned.casts, pruned.artifacts) == (1, 1)
        left = Artifact.objects.get()
        assert (left.pk, left.generation) == (given.pk, None)
        assert not Artifact.objects.filter(pk=spare.pk).exists()

    def test_a_use_is_noted_once_a_day_and_for_its_owner_alone(self):
        artifact = ArtifactFactory.create()
        note = retention_note(artifact, owner_id=artifact.owner_id)
        assert note(NOON) == NOON
        assert note(NOON + timedelta(hours=23)) == NOON
        assert note(NOON + timedelta(hours=25)) == NOON + timedelta(hours=25)
        stranger = retention_note(artifact, owner_id=UserFactory.create().pk)
        assert stranger(NOON + timedelta(days=9)) == NOON + timedelta(hours=25)

    def test_a_file_that_a_user_brought_goes_when_no_cast_was_given_it_for_as_long(self):
        ArtifactFactory.create()
        used = ArtifactFactory.create(used_at=NOON + timedelta(days=2))
        fresh = ArtifactFactory.create(created_at=LATER)
        assert prune(now=LATER, age=AGE).artifacts == 1
        assert set(Artifact.objects.all()) == {used, fresh}

    @pytest.mark.parametrize("place", ["items", "inputs"])
    def test_one_that_a_collection_names_stays_as_long_as_the_collection(self, place: str):
        published(slug="frame", visibility="public", inputs={"picture": {"type": "object"}})
        ada = UserFactory.create()
        brought, spare = ArtifactFactory.create(owner=ada), ArtifactFactory.create(owner=ada)
        strangers = ArtifactFactory.create()
        named = [{"artifact": str(each.pk)} for each in (brought, strangers, brought)]
        plan = Plan(
            name="Frames",
            spell="frame",
            inputs={"picture": "{{ item }}"} if place == "items" else {"picture": {"of": named}},
            items=named if place == "items" else [1],
        )
        kept = keep(plan=plan, owner=ada, now=NOON).collection
        dry, pruned = (prune(now=LATER, age=AGE, dry_run=each) for each in (True, False))
        assert (dry.artifacts, pruned.artifacts) == (2, 2)
        assert list(Artifact.objects.all()) == list(kept.artifacts.all()) == [brought]
        assert spare not in kept.artifacts.all()

    def test_what_a_cast_made_stays_without_it_when_a_collection_names_it(self):
        old = ended_cast()
        made = Artifact.objects.get()
        CollectionArtifact.objects.create(collection=CollectionFactory.create(owner=old.initiator), artifact=made)
        assert (prune(now=LATER, age=AGE).casts, Artifact.objects.get().generation) == (1, None)


def retention_note(artifact: Artifact, *, owner_id: int) -> Any:
    def note(now: Any) -> Any:
        note_use({artifact.pk}, owner_id=owner_id, now=now)
        artifact.refresh_from_db()
        return artifact.used_at

    return note


def test_what_is_old_and_hangs_on_no_cast_goes_too():
    for at in (NOON, LATER):
        CallbackFactory.create(generation=None, outcome=CallbackOutcome.ORPHANED, received_at=at)
        AlertFactory.create(opened_at=NOON, seen_at=NOON, told_at=NOON, calm_since=NOON, closed_at=at)
        AlertMailFactory.create(outcome="sent", due_at=None, done_at=at)
        GateEvent.objects.create(gate=GateFactory.create(), kind=GateEventKind.OPENED, at=at)
        ping = NotificationFactory.create(cast=None, kind=NotificationKind.WEBHOOK_TEST, channel="webhook", created_at=at)
        DeliveryFactory.create(notification=ping)
    AlertFactory.create(kind="wakeup_lag", opened_at=NOON, seen_at=NOON, told_at=NOON)
    subscriptions = Subscription.objects.count()
    assert prune(now=LATER, age=AGE).other_rows == 6
    assert (Callback.objects.count(), Alert.objects.count(), GateEvent.objects.count(), Notification.objects.count()) == (1, 2, 1, 1)
    assert Subscription.objects.count() == subscriptions


def old_file(data: bytes = b"nobody's") -> Path:
    """Store bytes that no row names, some days ago."""
    stored = store(data, mime_type="text/plain")
    return age_file(stored.sha256)


def age_file(sha256: str) -> Path:
    top = folder()
    assert top
    path = top / path_of(sha256)
    long_ago = time.time() - GRACE.total_seconds() - 10
    os.utime(path, (long_ago, long_ago))
    return path


class TestFiles:
    def test_old_ones_that_no_artefact_names_are_removed(self, artifact_folder: Path):
        unnamed = old_file()
        named = store(b"somebody's", mime_type="text/plain")
        ArtifactFactory.create(sha256=named.sha256)
        age_file(named.sha256)
        young = store(b"on its way to its row", mime_type="text/plain")
        dead = artifact_folder / "incoming" / "tmpdead"
        dead.write_bytes(b"half")
        os.utime(dead, (0, 0))
        on_its_way = artifact_folder / "incoming" / "tmpalive"
        on_its_way.touch()
        swept = sweep()
        assert (swept.files, swept.size) == (2, len(b"nobody's") + len(b"half"))
        assert [path.exists() for path in (unnamed, dead, on_its_way)] == [False, False, True]
        assert all((artifact_folder / path_of(stored.sha256)).exists() for stored in (named, young))
        assert sweep().files == 0

    def test_one_that_is_kept_again_is_young_again(self):
        path = old_file(b"twice")
        store(b"twice", mime_type="text/plain")
        assert sweep().files == 0
        assert path.exists()

    def test_one_that_was_removed_is_written_again(self):
        path = old_file(b"again")
        assert sweep().files == 1
        store(b"again", mime_type="text/plain")
        assert path.read_bytes() == b"again"

    def test_the_file_of_a_pruned_cast_goes_and_one_that_another_shares_stays(self, artifact_folder: Path):
        stored = [store(data, mime_type="text/plain") for data in (b"its own", b"shared")]
        for each in stored:
            ArtifactFactory.create(sha256=each.sha256, generation=ended_cast().generations.get())
            age_file(each.sha256)
        ArtifactFactory.create(sha256=stored[1].sha256, created_at=LATER)
        assert prune(now=LATER, age=AGE).files == 1
        assert [(artifact_folder / path_of(each.sha256)).exists() for each in stored] == [False, True]

    def test_no_folder_is_no_trouble(self, artifact_folder: Path):
        assert not artifact_folder.exists()
        assert sweep().files == 0


@pytest.mark.django_db(transaction=True)
def test_two_at_once_and_a_callback_that_comes_meanwhile_harm_nothing():
    """A callback for a call that is being pruned finds it or does not; a half-pruned cast is never left."""
    version = published()
    casts = [CastFactory.create(version=version, status=CastStatus.SUCCEEDED) for _ in range(40)]
    step = version.steps.get()
    generations = [GenerationFactory.create(cast=cast, step=step, status=GenerationStatus.SUCCEEDED) for cast in casts]

    def pruning() -> int:
        try:
            return prune(now=LATER, age=AGE).casts
        finally:
            connections.close_all()

    def telling(some: list[Generation]) -> int:
        told = 0
        for generation in some:
            try:
                with transaction.atomic():
                    CallbackFactory.create(generation=generation, outcome=CallbackOutcome.APPLIED)
                told += 1
            except IntegrityError:
                pass  # it was gone
        connections.close_all()
        return told

    with ThreadPoolExecutor(4) as pool:
        pruned = [pool.submit(pruning) for _ in range(2)]
        told = [pool.submit(telling, generations[start::2]) for start in range(2)]
        taken = sum(each.result() for each in pruned)
        for each in told:
            each.result()
    taken += prune(now=LATER, age=AGE).casts
    assert taken == 40
    assert (Cast.objects.count(), Generation.objects.count(), Callback.objects.count()) == (0, 0, 0)


def said(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("prune", *arguments, stdout=out)
    return out.getvalue().splitlines()


class TestCommand:
    def test_it_says_what_it_removes(self):
        ended_cast()
        unknown_call(ended_cast())
        would = said("--dry-run")
        assert would == [
            "would be removed: 1 casts, with 1 generations that had cost $0.25",
            "would be removed: 1 artefacts",
            "kept: 1 casts that are old enough and have something open",
        ]
        assert said() == [line.replace("would be removed", "removed") for line in would]
        assert said("--older-than", "30.5") == ["kept: 1 casts that are old enough and have something open"]
        assert said("--older-than", "9999") == ["Nothing to remove."]

    @pytest.mark.parametrize("age", ["0", "-3", "nan", "soon", "1e9"])
    def test_it_refuses_an_age_that_is_none(self, age: str):
        with pytest.raises(CommandError, match="--older-than"):
            said(f"--older-than={age}")

    def test_where_all_is_kept_for_ever_it_asks_for_an_age(self, settings: Settings):
        settings.GRIMOIRE_RETENTION_DAYS = 0
        with pytest.raises(CommandError, match="GRIMOIRE_RETENTION_DAYS is 0"):
            said()
        assert said("--older-than", "1") == ["Nothing to remove."]


def test_the_schedule_prunes_unless_all_is_kept_for_ever(settings: Settings):
    long_ago = NOON - timedelta(days=9999)
    CastFactory.create(status=CastStatus.SUCCEEDED, created_at=long_ago)
    settings.GRIMOIRE_RETENTION_DAYS = 0
    tasks.prune()
    assert Cast.objects.count() == 1
    settings.GRIMOIRE_RETENTION_DAYS = 180
    tasks.prune()
    assert Cast.objects.count() == 0
