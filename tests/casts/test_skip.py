"""A step that failed, given an output by hand: what later steps see, what is recorded, and what is refused."""

from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from casts import engine
from casts.clock import database_now
from casts.engine import InvalidOutputError, NotSkippableError, TransitionRefusedError
from casts.models import Cast, CastStatus, FanOut, Notification, Priority, Wakeup
from generations.models import Generation, GenerationStatus
from generations.tools.contract import ToolError
from tests.api import assert_problem, client_of, post
from tests.casts.scenes import Hand, billed, cast, cost, refusal, statuses, tool, user
from tests.casts.telling import webhook
from tests.factories import UserFactory
from tests.operators import messages_of, page, superuser
from tests.operators import operator as browser

NUMBER = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
WHY = "The provider refuses this prompt."

pytestmark = pytest.mark.django_db


def failed(*, on_items: int = 0) -> Hand:
    """A cast of which the first step failed for good, after a call that cost something."""
    first = {"key": "draw", "tool": billed("drawing", output_schema=NUMBER)}
    if on_items:
        first |= {"for_each": f"{{{{ range({on_items}) | list }}}}", "params": {"i": "{{ item }}"}}
    second = {"key": "show", "tool": tool(), "params": {"seen": "{{ steps.draw }}"}}
    hand = Hand(cast(first, second, outputs={"seen": "{{ steps.show.seen }}"}))
    hand.look()
    refused = ToolError("The prompt was refused.", permanent=True, cost=cost("0.25"))
    if on_items:
        others = {("draw", item): {"n": item} for item in range(1, on_items)}
        hand.answer_all({("draw", 0): refused, **others})
    else:
        hand.answer("draw", refused)
    assert hand.status() == CastStatus.FAILED
    hand.claim = None
    return hand


def skip(hand: Hand, **how) -> Cast:
    return engine.skip(cast_id=hand.cast.pk, now=database_now(), reason=how.pop("reason", WHY), actor_id=user("olga").pk, **how)


def test_a_cast_goes_on_with_the_output_that_an_operator_gave():
    hand = failed()
    went_on = skip(hand, output={"n": 7})
    assert (went_on.status, went_on.round, went_on.error, went_on.finished_at) == (CastStatus.RUNNING, 1, None, None)
    hand.look()
    assert hand.generation("show").inputs == {"seen": {"n": 7}}
    hand.answer("show", {"seen": 7})
    assert hand.status() == CastStatus.SUCCEEDED
    assert hand.cast.outputs == {"seen": 7}
    assert hand.cast.cost_usd == Decimal("0.25"), "what the failure cost stays booked"


def test_what_failed_stays_in_the_record_and_who_skipped_it_when_and_why_is_told():
    hand = failed()
    before = database_now()
    skip(hand, output={"n": 7})
    assert statuses(hand.cast) == {"draw": ["failed", "skipped"]}
    first, made = hand.cast.generations.order_by("attempt")
    assert first.error["message"] == "The prompt was refused."
    assert (made.attempt, made.output, made.reason, made.cost_usd, made.started_at) == (2, {"n": 7}, WHY, None, None)
    told = hand.cast.events.get(kind="skipped")
    assert (told.actor, told.data) == (user("olga"), {"step": "draw", "item": 0, "reason": WHY, "generations": [str(made.pk)]})
    assert before <= told.at <= database_now()
    assert hand.cast.events.get(kind="retried").actor == user("olga")


def test_without_an_output_later_steps_see_null():
    hand = failed()
    skip(hand)
    hand.look()
    assert hand.generation("show").inputs == {"seen": None}


def test_one_item_of_many_is_skipped_and_its_neighbours_keep_what_they_have():
    hand = failed(on_items=3)
    skip(hand, output={"n": 70})
    hand.look()
    assert hand.called() == [("show", 0)]
    assert hand.generation("show").inputs == {"seen": [{"n": 70}, {"n": 1}, {"n": 2}]}


def test_several_items_are_skipped_before_the_cast_goes_on():
    first = {"key": "draw", "tool": tool("drawing", output_schema=NUMBER), "for_each": "{{ [1, 2, 3] }}", "params": {"i": "{{ item }}"}}
    hand = Hand(cast(first, {"key": "show", "tool": tool(), "params": {"seen": "{{ steps.draw }}"}}))
    hand.look()
    hand.answer_all({("draw", item): refusal(permanent=True) for item in range(3)})
    assert hand.status() == CastStatus.FAILED
    hand.claim = None
    for item in (2, 0):
        left = skip(hand, step_key="draw", item=item, output={"n": item}, resume=False)
        assert (left.status, Wakeup.objects.filter(cast=left).exists()) == (CastStatus.FAILED, False)
    engine.retry(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    assert hand.called() == [("draw", 1)]
    hand.answer("draw", {"n": 1}, item=1)
    assert hand.generation("show").inputs == {"seen": [{"n": 0}, {"n": 1}, {"n": 2}]}


def test_a_list_that_could_not_be_made_is_skipped_with_the_outputs_of_its_items():
    given = tool("giving", output_schema={"type": "object"})
    each = {
        "key": "draw",
        "tool": tool("drawing", output_schema=NUMBER),
        "for_each": "{{ steps.list.items }}",
        "params": {"i": "{{ item }}"},
    }
    hand = Hand(cast({"key": "list", "tool": given}, each, {"key": "show", "tool": tool(), "params": {"seen": "{{ steps.draw }}"}}))
    hand.look()
    hand.answer("list", {"items": 7})
    assert hand.status() == CastStatus.FAILED
    hand.claim = None
    with pytest.raises(InvalidOutputError, match="must be a list"):
        skip(hand, output={"n": 1})
    with pytest.raises(InvalidOutputError, match=r"output\[1\]"):
        skip(hand, output=[{"n": 1}, {"m": 1}])
    assert not FanOut.objects.exists()
    skip(hand, output=[{"n": 1}, None, {"n": 3}])
    hand.look()
    assert hand.generation("show").inputs == {"seen": [{"n": 1}, None, {"n": 3}]}
    assert statuses(hand.cast)["draw"] == ["failed", "skipped", "skipped", "skipped"]


def test_a_list_may_be_skipped_with_no_items_at_all():
    each = {"key": "draw", "tool": tool(), "for_each": "{{ steps.list.items }}", "params": {"i": "{{ item }}"}}
    hand = Hand(cast({"key": "list"}, each, {"key": "show", "params": {"seen": "{{ steps.draw }}"}}))
    hand.look()
    hand.answer("list", {"items": 7})
    assert hand.status() == CastStatus.FAILED
    hand.claim = None
    skip(hand, output=[])
    hand.look()
    assert hand.generation("show").inputs == {"seen": []}


@pytest.mark.parametrize("output", [{"n": "seven"}, {}, {"n": 7, "m": 8}, [], "seven", 7, {"n": "\0"}])
def test_an_output_that_the_tool_would_not_have_returned_is_refused_and_nothing_is_written(output):
    hand = failed()
    with pytest.raises(InvalidOutputError) as refused:
        skip(hand, output=output)
    assert all(problem.path.startswith("output") for problem in refused.value.problems)
    assert statuses(hand.cast) == {"draw": ["failed"]}
    assert hand.status() == CastStatus.FAILED
    assert not hand.cast.events.filter(kind="skipped").exists()


def test_only_a_cast_that_has_failed_or_was_cancelled_can_be_carried_on_past_a_step():
    hand = Hand(cast({"key": "draw"}))
    for how in ("queued", "running", "succeeded"):
        assert hand.status() == how
        with pytest.raises(TransitionRefusedError, match=how):
            skip(hand, step_key="draw")
        if how == "queued":
            hand.look()
        else:
            hand.answer("draw", {}) if hand.calls else None
    with pytest.raises(Cast.DoesNotExist):
        engine.skip(cast_id=Generation(cast_id=hand.cast.pk).pk, now=database_now(), reason=WHY)


def test_only_what_failed_can_be_skipped():
    hand = failed(on_items=2)
    with pytest.raises(NotSkippableError, match="item 1, has succeeded"):
        skip(hand, step_key="draw", item=1)
    with pytest.raises(NotSkippableError, match="item 9, was never begun"):
        skip(hand, step_key="draw", item=9)
    with pytest.raises(NotSkippableError, match="Step show was never begun"):
        skip(hand, step_key="show")
    with pytest.raises(NotSkippableError, match="no step 'nowhere'"):
        skip(hand, step_key="nowhere")
    skip(hand, output={"n": 1}, resume=False)
    with pytest.raises(NotSkippableError, match="has skipped"):
        skip(hand, output={"n": 2}, step_key="draw", item=0)


def test_a_call_of_which_nobody_knows_how_it_ended_is_settled_first(clock):
    hand = Hand(cast({"key": "draw", "tool": billed()}))
    hand.look()
    hand.answer("draw", refusal("The connection was lost.", ambiguous=True))
    clock.advance(hours=25)
    hand.look()
    assert hand.status() == CastStatus.FAILED
    with pytest.raises(NotSkippableError, match="settle it first"):
        skip(hand, step_key="draw", output={})
    engine.resolve(generation_id=hand.generation("draw").pk, now=database_now())
    assert skip(hand, step_key="draw", output={}).status == CastStatus.RUNNING


def test_a_cast_that_did_not_end_by_a_step_asks_which_one(clock):
    hand = Hand(cast({"key": "draw"}))
    clock.advance(hours=25)
    hand.look()
    assert hand.status() == CastStatus.FAILED
    with pytest.raises(NotSkippableError, match="name the step"):
        skip(hand)


def test_a_cancelled_call_can_be_skipped_too():
    hand = Hand(cast({"key": "draw"}))
    hand.look()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.answer("draw", refusal())
    assert hand.status() == CastStatus.CANCELLED
    hand.claim = None
    skip(hand, step_key="draw", output={"n": 1})
    hand.look()
    assert hand.status() == CastStatus.SUCCEEDED


def test_whoever_follows_each_step_is_told():
    mine = webhook(kinds=["generation.skipped"])
    skip(failed(), output={"n": 7})
    told = Notification.objects.get(subscription=mine)
    assert (told.told["status"], told.told["step"], told.told["attempt"]) == ("skipped", "draw", 2)


def test_a_round_keeps_the_priority_of_its_cast():
    hand = Hand(cast({"key": "draw"}, priority=Priority.BATCH))
    hand.look()
    hand.answer("draw", refusal(permanent=True))
    engine.retry(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    assert Wakeup.objects.get(cast=hand.cast).priority == Priority.BATCH


# By the API


def operator():
    olga = UserFactory.create(username="olga-the-operator", is_staff=True)
    olga.user_permissions.add(Permission.objects.get(codename="change_cast"), Permission.objects.get(codename="view_cast"))
    return olga


def test_an_operator_skips_by_the_api():
    hand, olga = failed(), operator()
    answer = post(client_of(olga), f"/casts/{hand.cast.pk}/skip/", {"output": {"n": 7}, "reason": WHY})
    assert (answer.status_code, answer.json()["status"], answer.json()["error"]) == (200, "waiting", None)
    assert hand.cast.events.get(kind="skipped").actor == olga


def test_an_initiator_cannot_skip_nor_can_who_sees_nothing_of_the_cast():
    hand = failed()
    body = {"output": {"n": 7}, "reason": WHY}
    assert_problem(post(client_of(user()), f"/casts/{hand.cast.pk}/skip/", body), 403)
    assert_problem(post(client_of(), f"/casts/{hand.cast.pk}/skip/", body), 401)
    stranger = UserFactory.create()
    stranger.user_permissions.add(Permission.objects.get(codename="change_cast"))
    assert_problem(post(client_of(stranger), f"/casts/{hand.cast.pk}/skip/", body), 404)
    assert hand.status() == CastStatus.FAILED


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"output": {"n": 7}}, 422, "reason"),
        ({"reason": "  "}, 422, "reason"),
        ({"reason": WHY, "item": -1}, 422, "item"),
        ({"reason": WHY, "items": 1}, 422, "items"),
        ({"reason": WHY, "output": {"n": "seven"}}, 422, "output.n"),
        ({"reason": WHY, "step": "nowhere"}, 409, "step"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(body, status, path):
    hand = failed()
    assert_problem(post(client_of(operator()), f"/casts/{hand.cast.pk}/skip/", body), status, path)
    assert statuses(hand.cast) == {"draw": ["failed"]}


# In the admin


def page_of(client, hand):
    return page(client, "casts_cast_change", hand.cast.pk)


def test_the_page_of_a_failed_cast_offers_to_skip_what_failed_last():
    hand, client = failed(on_items=2), superuser()
    url = reverse("admin:casts_cast_skip", args=[hand.cast.pk, hand.generation("draw").pk])
    assert page_of(client, hand).count("/skip/") == 1
    assert url in page_of(client, hand)
    answer = client.post(url, {"output": '{"n": 7}', "reason": WHY, "resume": "on"}, follow=True)
    assert messages_of(answer) == ["Step draw is skipped."]
    assert hand.status() == CastStatus.RUNNING
    assert "/skip/" not in page_of(client, hand)
    assert WHY in page_of(client, hand)
    assert "draw" in LogEntry.objects.get(object_id=str(hand.cast.pk)).change_message


@pytest.mark.parametrize(
    "data", [{}, {"output": '{"n": 7}'}, {"output": '{"n": "7"}', "reason": WHY}, {"output": "no json", "reason": WHY}], ids=str
)
def test_a_skip_that_makes_no_sense_is_shown_again_with_what_is_wrong(data):
    hand = failed()
    answer = superuser().post(reverse("admin:casts_cast_skip", args=[hand.cast.pk, hand.generation("draw").pk]), data)
    assert answer.status_code == 422
    assert "errorlist" in answer.content.decode()
    assert statuses(hand.cast) == {"draw": ["failed"]}


def test_skipping_in_the_admin_needs_the_permission():
    hand = failed()
    client = browser("casts.view_cast")
    assert "/skip/" not in page_of(client, hand)
    url = reverse("admin:casts_cast_skip", args=[hand.cast.pk, hand.generation("draw").pk])
    assert client.post(url, {"output": '{"n": 7}', "reason": WHY}).status_code == 403


def test_many_casts_are_skipped_at_once_and_those_that_cannot_be_are_told():
    hands, other = [failed(), failed()], Hand(cast({"key": "draw"}, slug="other"))
    client, url = superuser(), reverse("admin:casts_cast_changelist")
    selected = {"action": "skip_selected", "_selected_action": [str(hand.cast.pk) for hand in (*hands, other)]}
    asked = client.post(url, selected)
    assert "3 casts." in asked.content.decode()
    assert client.post(url, {**selected, "skip": "yes"}).status_code == 422
    answer = client.post(url, {**selected, "skip": "yes", "output": '{"n": 7}', "reason": WHY, "resume": "on"}, follow=True)
    refused = f"{other.cast.pk}: A cast that is queued cannot be carried on past a step."
    assert messages_of(answer) == [refused, "2 casts are carried on."]
    for hand in hands:
        assert hand.status() == CastStatus.RUNNING
        assert hand.generation("draw").status == GenerationStatus.SKIPPED
