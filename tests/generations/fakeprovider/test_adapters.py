"""Our adapters and the fake provider mean the same: what became of a job, what its webhook says, and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from generations.fakeprovider.prices import PRICES
from generations.tools import registry
from generations.tools.contract import Delivery, Lost, Progress, Request, Result, Submitted, ToolError
from generations.tools.http_job_example import EXAMPLE_CONFIG
from tests.fakes import Mailbox, Received, Serving
from tests.generations.providers import called_back, cancel, ended, poll, run
from tests.generations.toolbox import awaited, request_for
from tests.processes import wait_for


@dataclass(frozen=True, kw_only=True)
class Case:
    """A tool of one dialect. `signs`: its webhooks are signed. `told`: they say how the job ended, and what it cost."""

    slug: str
    path: str
    table: str
    config: Mapping[str, Any]
    inputs: Mapping[str, Any]
    signs: bool = False
    told: bool = True


CALLBACK = EXAMPLE_CONFIG["callback"]
PROMPT = {"prompt": "A story about a fox."}
CASES = [
    Case(
        slug="replicate",
        path="/replicate/v1",
        table="replicate",
        config={"model": "a/b", "webhook_secret_env": "FAKE_SECRET"},
        inputs={"input": PROMPT},
        signs=True,
    ),
    Case(slug="fal", path="/fal", table="fal", config={"application": "a/b"}, inputs={"input": PROMPT}, signs=True, told=False),
    Case(
        slug="comfydeploy",
        path="/comfydeploy/api",
        table="comfydeploy",
        config={"deployment_id": "d"},
        inputs={"inputs": PROMPT},
        told=False,
    ),
    Case(slug="runpod", path="/runpod/v2", table="runpod", config={"endpoint": "e"}, inputs={"input": PROMPT}),
    Case(
        slug="http.job",
        path="/lumen/v1",
        table="lumen",
        config={**EXAMPLE_CONFIG, "callback": {**CALLBACK, "signature": {**CALLBACK["signature"], "secret_env": "FAKE_SECRET"}}},
        inputs=PROMPT,
    ),
    Case(
        slug="openai.responses",
        path="/openai/v1",
        table="openai",
        config={"model": "gpt-5-mini", "webhook_secret_env": "FAKE_SECRET"},
        inputs=PROMPT,
        signs=True,
        told=False,
    ),
]


@pytest.fixture(params=CASES, ids=[case.slug for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    case: Case = request.param
    return case


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, fake: Serving) -> None:
    monkeypatch.setenv("FAKE_KEY", fake.key)
    monkeypatch.setenv("FAKE_SECRET", fake.settings.webhook_secret)


def asked(case: Case, fake: Serving, *, callback_url: str = "") -> Request:
    config = {**case.config, "base_url": fake.url + case.path, "api_key_env": "FAKE_KEY", "poll_seconds": 0.1}
    if case.slug == "fal":
        config["webhook_keys_url"] = f"{fake.url}/fal/.well-known/jwks.json"
    return request_for(case.slug, case.inputs, config=config, pricing=PRICES[case.table], callback_url=callback_url)


def submitted(request: Request) -> tuple[Request, str]:
    """Submit a job, and return the request that asks for it, and its id."""
    taken = run(request)
    assert isinstance(taken, Submitted), taken
    return replace(request, job_handle=taken.handle), taken.job_id


def billed(fake: Serving) -> Decimal:
    return sum((Decimal(entry["usd"]) for entry in fake.ledger()), Decimal(0))


def cost_of(outcome: Result | ToolError) -> Decimal:
    return outcome.cost.usd if outcome.cost else Decimal(0)


def agree(one: Decimal, other: Decimal) -> bool:
    """Tell whether two amounts are the same as far as ours goes."""
    return abs(one - other) <= Decimal("1e-10")


def test_a_job_succeeds_and_costs_what_is_billed(case: Case, fake: Serving):
    outcome = ended(*submitted(asked(case, fake)))
    assert isinstance(outcome, Result), outcome
    assert agree(cost_of(outcome), billed(fake))
    assert billed(fake) > 0


def test_a_job_fails_in_the_providers_words_and_costs_what_is_billed(case: Case, fake: Serving):
    fake.tell(fail="The model broke its leg.")
    outcome = ended(*submitted(asked(case, fake)))
    assert isinstance(outcome, ToolError), outcome
    assert "The model broke its leg." in outcome.message
    assert agree(cost_of(outcome), billed(fake))


def test_a_job_at_work_is_cancelled_and_costs_what_is_billed(case: Case, fake: Serving):
    fake.tell(hold=True)
    request, job = submitted(asked(case, fake))
    wait_for("it works", lambda: [each["phase"] for each in fake.control("jobs")] == ["running"])
    assert isinstance(poll(request, job), Progress)
    cancel(request, job)
    outcome = ended(request, job)
    assert isinstance(outcome, ToolError), outcome
    assert agree(cost_of(outcome), billed(fake))
    cancel(request, job)  # once more is no error


def test_a_job_that_was_lost_is_told_from_one_that_is_at_work(case: Case, fake: Serving):
    fake.tell(lose=True)
    assert isinstance(poll(*submitted(asked(case, fake))), Lost)


def test_a_refusal_says_when_to_come_back(case: Case, fake: Serving):
    fake.tell(status=429, retry_after=7)
    with pytest.raises(ToolError) as refusal:
        run(asked(case, fake))
    assert (refusal.value.code, refusal.value.retry_after, refusal.value.ambiguous) == ("rate_limited", 7, False)


def test_a_wrong_key_is_no_use(case: Case, fake: Serving, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAKE_KEY", "wrong")
    with pytest.raises(ToolError) as refusal:
        run(asked(case, fake))
    assert (refusal.value.code, refusal.value.permanent) == ("unauthorized", True)


@pytest.mark.parametrize("told", [{"drop": "after"}, {"garbage": True}], ids=["dropped", "garbage"])
def test_an_answer_that_is_lost_leaves_open_whether_there_is_a_job(case: Case, fake: Serving, told: dict[str, Any]):
    fake.tell(**told)
    with pytest.raises(ToolError) as lost:
        run(asked(case, fake))
    assert lost.value.ambiguous
    assert fake.control("stats")["accepted"] == 1


def verified(case: Case, request: Request, mail: Received) -> str:
    delivery = Delivery(tool=case.slug, config=request.config, headers=mail.headers, body=mail.body)
    return str(awaited(registry.get(case.slug).verify_callback(delivery)))


def test_the_last_webhook_is_the_providers_and_says_how_the_job_ended(case: Case, fake: Serving, box: Mailbox):
    request, job = submitted(asked(case, fake, callback_url=f"{box.url}/api/v1/callbacks/{case.slug}/signed/"))
    wait_for("its webhooks", lambda: fake.ledger() and all_delivered(fake))
    mail = box.received[-1]
    assert bool(verified(case, request, mail)) is case.signs
    outcome = called_back(request, mail.json)
    if outcome is None or not case.told:  # a hint: the rest is asked for
        outcome = ended(request, job)
    assert isinstance(outcome, Result), outcome
    assert agree(cost_of(outcome), billed(fake))


def all_delivered(fake: Serving) -> bool:
    counts = fake.control("webhooks")["counts"]
    return bool(counts.get("delivered", 0) == counts["mails"])
