"""runpod against the fake provider and against a server that answers what it is told to."""

import base64
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from generations.tools import registry, runpod
from generations.tools.contract import Delivery, Progress, RemoteFile, Result, Submitted, ToolError
from tests.fakes import Serving, fake_provider, mailbox

from .providers import called_back, cancel, ended, poll, run
from .toolbox import keep, picture, problems_with, request_for
from .website import Website, website

PRICES = {"per_second": "0.00031"}
PNG = base64.b64encode(picture()).decode()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    with fake_provider() as fake:
        monkeypatch.setenv("FAKE_KEY", fake.key)
        yield fake


def request_to(fake: Serving, **given: Any) -> Any:
    config = {"base_url": f"{fake.url}/runpod/v2", "api_key_env": "FAKE_KEY", "endpoint": "ep1"}
    return request_for("runpod", {"input": {"prompt": "a fox", **given}}, config=config, pricing=PRICES)


def test_a_job_of_the_fake_provider_costs_what_its_ledger_says(fake: Serving):
    request = request_to(fake)
    result = ended(request, run(request).job_id)
    [file] = result.output["files"]
    assert result.output["output"] == {"images": [file]}
    assert result.output["image"] == file
    assert fake.file(file.url).startswith(b"\x89PNG")
    [entry] = fake.ledger()
    assert result.cost.usd == Decimal(entry["usd"])
    assert result.cost.basis == {"unit": "second", "quantity": result.cost.basis["quantity"], "price": "0.00031", "table": 1}


def test_failures_cost_too_and_cancelled_jobs_end(fake: Serving):
    failing = request_to(fake, **{"x-fake-fail": "CUDA out of memory"})
    told = ended(failing, run(failing).job_id)
    assert isinstance(told, ToolError)
    assert told.message == "The endpoint failed: CUDA out of memory"
    assert told.cost is not None
    assert told.cost.usd == Decimal(fake.ledger()[0]["usd"])
    held = request_to(fake, **{"x-fake-hold": True})
    job_id = run(held).job_id
    assert isinstance(poll(held, job_id), Progress)
    cancel(held, job_id)
    told = ended(held, job_id)
    assert (told.code, told.permanent) == ("cancelled", True)


def test_a_webhook_brings_the_end_without_a_signature(fake: Serving):
    with mailbox() as box:
        request = replace(request_to(fake), callback_url=box.url)
        submitted = run(request)
        [received] = box.wait(1)
    adapter = registry.get("runpod")
    assert adapter.verify_callback(Delivery(tool="runpod", config=request.config, headers=received.headers, body=received.body)) == ""
    result = called_back(request, received.json)
    assert isinstance(result, Result)
    assert result == ended(request, submitted.job_id)


class Oddity:
    """A server that answers what it is told to."""

    def __init__(self, server: Website) -> None:
        self.server = server

    def request(self, *, config: dict[str, Any] | None = None, pricing: Any = None, readable: Any = None, **given: Any) -> Any:
        settings = {"base_url": self.server.url("/v2"), "api_key_env": "", "endpoint": "ep1", **(config or {})}
        return request_for("runpod", {"input": given}, config=settings, pricing=PRICES if pricing is None else pricing, readable=readable)

    def sent(self, request: Any) -> dict[str, Any]:
        self.server.put("/v2/ep1/run", {"id": "job_1", "status": "IN_QUEUE"})
        assert isinstance(run(request), Submitted)
        body: dict[str, Any] = json.loads(self.server.seen[-1].body)
        return body

    def told(self, status: str, *, config: dict[str, Any] | None = None, pricing: Any = None, **job: Any) -> Any:
        self.server.put("/v2/ep1/status/job_1", {"id": "job_1", "status": status, **job})
        return poll(self.request(config=config, pricing=pricing), "job_1")


@pytest.fixture
def oddity() -> Any:
    with website() as server:
        yield Oddity(server)


def test_the_deadline_becomes_the_policy_and_the_callback_its_webhook(oddity: Oddity):
    body = oddity.sent(replace(oddity.request(prompt="x"), deadline_seconds=90.0, callback_url="https://grimoire.example/hook"))
    assert body == {
        "input": {"prompt": "x"}, "policy": {"executionTimeout": 90_000, "ttl": 90_000}, "webhook": "https://grimoire.example/hook",
    }  # fmt: skip
    assert oddity.sent(replace(oddity.request(), deadline_seconds=1.0))["policy"] == {"executionTimeout": 5000, "ttl": 10_000}
    longest = oddity.sent(replace(oddity.request(), deadline_seconds=30 * 86400.0))
    assert longest["policy"]["ttl"] == 7 * 86_400_000
    assert "webhook" not in longest


def test_artefacts_go_along_as_files(oddity: Oddity, monkeypatch: pytest.MonkeyPatch):
    data = picture()
    image = keep(data)
    given: dict[str, Any] = {"init": [image.reference()], "readable": {image.id: image}}
    assert oddity.sent(oddity.request(**given))["input"] == {"init": [f"data:image/png;base64,{PNG}"]}
    assert oddity.sent(oddity.request(config={"files_as": "base64"}, **given))["input"] == {"init": [PNG]}
    monkeypatch.setattr(runpod, "MAX_GIVEN_BYTES", len(data) - 1)
    with pytest.raises(ToolError, match="larger than") as raised:
        run(oddity.request(**given))
    assert (raised.value.code, raised.value.permanent) == ("too_large", True)


URI = f"data:image/png;base64,{PNG}"
LINK = "https://cdn.example.com/a.png"


@pytest.mark.parametrize(
    ("output", "shown", "urls"),
    [
        ({"images": [LINK]}, {"images": [RemoteFile(url=LINK)]}, [LINK]),
        (LINK, RemoteFile(url=LINK), [LINK]),
        ([LINK, LINK], [RemoteFile(url=LINK)] * 2, [LINK]),
        ({"image": PNG}, {"image": RemoteFile(url=URI)}, [URI]),
        ([{"image_base64": PNG, "seed": 7}], [{"image_base64": RemoteFile(url=URI), "seed": 7}], [URI]),
        ({"image": URI}, {"image": RemoteFile(url=URI)}, [URI]),
        (
            {"images": [{"filename": "a.png", "type": "base64", "data": PNG}]},
            {"images": [{"filename": "a.png", "type": "base64", "data": RemoteFile(url=URI, name="a.png")}]},
            [URI],
        ),
        ({"token": PNG}, {"token": PNG}, []),
        ({"image": "a" * 64}, {"image": "a" * 64}, []),
        ({"image": PNG[:-1]}, {"image": PNG[:-1]}, []),
        ({"text": f"See {LINK} for more."}, {"text": f"See {LINK} for more."}, []),
        ("It is done.", "It is done.", []),
        (7, 7, []),
        ([[1.5, None, True]], [[1.5, None, True]], []),
    ],
    ids=str,
)
def test_outputs_of_any_shape_are_taken_and_their_files_found(oddity: Oddity, output: Any, shown: Any, urls: list[str]):
    result = oddity.told("COMPLETED", output=output, executionTime=1500)
    assert result.output["output"] == shown
    assert [file.url for file in result.output["files"]] == urls
    assert ("file" in result.output) == (len(urls) == 1)
    assert result.cost.usd == Decimal("0.000465")
    assert result.cost.basis["quantity"] == "1.5"


def test_fields_of_base64_are_configured(oddity: Oddity):
    result = oddity.told("COMPLETED", output={"picture": PNG, "image": PNG}, config={"base64_fields": ["picture"]})
    assert result.output["output"] == {"picture": RemoteFile(url=URI), "image": PNG}
    assert result.cost is None


ENDS: list[tuple[str, dict[str, Any], tuple[str, bool, str | None]]] = [
    ("COMPLETED", {"output": None, "executionTime": 1000}, ("empty_answer", False, "0.00031")),
    ("COMPLETED", {"output": {}, "executionTime": 1000}, ("empty_answer", False, "0.00031")),
    ("COMPLETED", {}, ("empty_answer", False, None)),
    ("FAILED", {"error": "boom", "executionTime": 2000}, ("provider_failed", False, "0.00062")),
    ("FAILED", {"error": "boom"}, ("provider_failed", False, None)),
    ("TIMED_OUT", {"executionTime": 2000}, ("timed_out", True, "0.00062")),
    ("TIMED_OUT", {}, ("timed_out", False, "0")),
    ("CANCELLED", {"executionTime": 1000}, ("cancelled", True, "0.00031")),
    ("CANCELLED", {}, ("cancelled", True, "0")),
]


@pytest.mark.parametrize(("status", "job", "meaning"), ENDS, ids=str)
def test_an_end_without_an_output_is_an_error_with_its_cost(oddity: Oddity, status: str, job: Any, meaning: Any):
    told = oddity.told(status, **job)
    assert isinstance(told, ToolError)
    code, permanent, usd = meaning
    assert (told.code, told.permanent) == (code, permanent)
    assert (told.cost and told.cost.usd) == (usd and Decimal(usd))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("boom", "boom"),
        ('{"error_type": "<class \'ValueError\'>", "error_message": "no such seed", "error_traceback": "..."}', "no such seed"),
        ({"message": "no such seed"}, "no such seed"),
        ("", "It gives no reason."),
        (None, "It gives no reason."),
        (7, "It gives no reason."),
        ("[" * 5000, "[" * 1000),
        ("a\0b", "a\ufffdb"),
    ],
    ids=lambda told: str(told)[:20],
)
def test_the_words_of_the_worker_are_told(oddity: Oddity, error: Any, words: str):
    assert oddity.told("FAILED", error=error).message == f"The endpoint failed: {words}"


@pytest.mark.parametrize(
    ("status", "output", "progress"),
    [
        ("IN_QUEUE", None, Progress(stage="in queue", poll_after=3)),
        ("IN_PROGRESS", None, Progress(stage="in progress", poll_after=3)),
        ("RUNNING", "Update 3 of 4", Progress(stage="Update 3 of 4", poll_after=3)),
        ("IN_PROGRESS", {"progress": 40, "stage": "painting"}, Progress(percent=40, stage="painting", poll_after=3)),
        ("IN_PROGRESS", {"percent": 12.5}, Progress(percent=12.5, stage="in progress", poll_after=3)),
        ("IN_PROGRESS", {"progress": 140}, Progress(stage="in progress", poll_after=3)),
        ("IN_PROGRESS", {"progress": "40", "stage": 7}, Progress(stage="in progress", poll_after=3)),
        ("IN_PROGRESS", [1], Progress(stage="in progress", poll_after=3)),
    ],
)
def test_progress_is_told(oddity: Oddity, status: str, output: Any, progress: Progress):
    assert oddity.told(status, output=output) == progress


@pytest.mark.parametrize("time", [-1, "1500", 1e13, True])
def test_times_that_no_machine_works_are_refused(oddity: Oddity, time: Any):
    with pytest.raises(ToolError) as raised:
        oddity.told("COMPLETED", output="x", executionTime=time)
    assert raised.value.code == "bad_answer"


def test_a_webhook_that_hides_the_time_is_but_a_hint(oddity: Oddity):
    request = oddity.request()
    assert called_back(request, {"id": "job_1", "status": "COMPLETED", "output": "x"}) is None
    assert isinstance(called_back(request, {"id": "job_1", "status": "COMPLETED", "output": "x", "executionTime": 5}), Result)
    assert isinstance(called_back(request, {"id": "job_1", "status": "IN_PROGRESS"}), Progress)
    assert isinstance(called_back(oddity.request(pricing={}), {"id": "job_1", "status": "COMPLETED", "output": "x"}), Result)
    wrong: list[Any] = [{}, [], None, "x", {"id": "job_1"}, {"id": "../x", "status": "COMPLETED"}]
    for nonsense in wrong:
        with pytest.raises(ToolError) as raised:
            called_back(request, nonsense)
        assert raised.value.code == "bad_answer"


@pytest.mark.parametrize("output", [{}, {"output": None}, {"output": []}, {"output": ""}], ids=str)
def test_a_webhook_of_an_end_without_its_output_is_but_a_hint(oddity: Oddity, output: dict[str, Any]):
    assert called_back(oddity.request(), {"id": "job_1", "status": "COMPLETED", "executionTime": 5, **output}) is None
    assert isinstance(called_back(oddity.request(), {"id": "job_1", "status": "FAILED", "executionTime": 5, **output}), ToolError)


def test_a_job_that_ends_at_once_is_an_answer(oddity: Oddity):
    oddity.server.put("/v2/ep1/run", {"id": "job_1", "status": "COMPLETED", "output": "x", "executionTime": 1000})
    assert run(oddity.request()).cost.usd == Decimal("0.00031")
    oddity.server.put("/v2/ep1/run", {"id": "job_1", "status": "FAILED", "error": "boom", "executionTime": 1000})
    with pytest.raises(ToolError, match="boom") as raised:
        run(oddity.request())
    assert raised.value.cost is not None


def test_the_endpoint_must_be_named():
    with pytest.raises(ToolError, match="endpoint"):
        run(request_for("runpod", {}, config={}))
    with pytest.raises(ToolError, match="endpoint"):
        run(request_for("runpod", {}, config={"endpoint": "../other"}))
    assert problems_with("runpod", input="text") == ["params.input"]
