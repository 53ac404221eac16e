"""comfydeploy against the fake provider and against a server that answers what it is told to."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from generations.tools import comfydeploy, registry
from generations.tools.contract import Delivery, Progress, RemoteFile, Result, Submitted, ToolError
from tests.fakes import Serving, fake_provider, mailbox
from tests.processes import wait_for

from .providers import called_back, cancel, ended, poll, run
from .toolbox import keep, picture, request_for
from .website import Website, website

PRICES = {"per_second": "0.0012"}
PNG = "https://cdn.example.com/a.png"


@pytest.fixture(params=[False, True], ids=["words of today", "older words"])
def fake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    with fake_provider(old_comfydeploy_words=request.param) as fake:
        monkeypatch.setenv("FAKE_KEY", fake.key)
        yield fake


def request_to(fake: Serving, *, pricing: Any = None, **given: Any) -> Any:
    config = {"base_url": f"{fake.url}/comfydeploy/api", "api_key_env": "FAKE_KEY", "deployment_id": "d1"}
    return request_for(
        "comfydeploy", {"inputs": {"prompt": "a fox", **given}}, config=config, pricing=PRICES if pricing is None else pricing
    )


def test_a_run_of_the_fake_provider_costs_what_its_ledger_says(fake: Serving):
    request = request_to(fake)
    result = ended(request, run(request).job_id)
    [file] = result.output["files"]
    assert result.output["image"] == result.output["file"] == file
    assert result.output["outputs"] == [{"node": "9", "files": [file], "texts": []}]
    assert fake.file(file.url).startswith(b"\x89PNG")
    assert result.cost.usd == Decimal(fake.ledger()[0]["usd"])


def test_failures_cost_too_and_cancelled_runs_end(fake: Serving):
    failing = request_to(fake, **{"x-fake-fail": "CUDA out of memory"})
    told = ended(failing, run(failing).job_id)
    assert isinstance(told, ToolError)
    assert told.message == "The workflow failed: CUDA out of memory"
    assert told.cost is not None
    assert told.cost.usd == Decimal(fake.ledger()[0]["usd"])
    held = request_to(fake, **{"x-fake-hold": True})
    job_id = run(held).job_id
    assert isinstance(poll(held, job_id), Progress)
    cancel(held, job_id)
    told = ended(held, job_id)
    assert (told.code, told.permanent) == ("cancelled", True)


def test_webhooks_tell_progress_and_that_it_is_over(fake: Serving):
    with mailbox() as box:
        request = replace(request_to(fake), callback_url=box.url)
        job_id = run(request).job_id
        ended(request, job_id)
        received = wait_for("the end is told", lambda: box.received if called_back(request, box.wait(2)[-1].json) is None else [])
    adapter = registry.get("comfydeploy")
    delivery = Delivery(tool="comfydeploy", config=request.config, headers=received[0].headers, body=received[0].body)
    assert adapter.verify_callback(delivery) == ""
    told = [called_back(request, each.json) for each in received]
    assert isinstance(told[0], Progress)
    # They do not say what it cost: that has to be asked.
    assert told[-1] is None
    unpriced = replace(request, pricing={})
    assert isinstance(called_back(unpriced, received[-1].json), Result)


class Oddity:
    """A server that answers what it is told to."""

    def __init__(self, server: Website) -> None:
        self.server = server

    def request(self, *, config: dict[str, Any] | None = None, pricing: Any = None, readable: Any = None, **given: Any) -> Any:
        settings = {"base_url": self.server.url("/api"), "api_key_env": "", "deployment_id": "d1", **(config or {})}
        return request_for(
            "comfydeploy", {"inputs": given}, config=settings, pricing=PRICES if pricing is None else pricing, readable=readable
        )

    def sent(self, request: Any) -> dict[str, Any]:
        self.server.put("/api/run/deployment/queue", {"run_id": "run_1"})
        assert run(request) == Submitted(job_id="run_1", poll_after=3)
        body: dict[str, Any] = json.loads(self.server.seen[-1].body)
        return body

    def told(self, status: str, **more: Any) -> Any:
        self.server.put("/api/run/run_1", {"id": "run_1", "status": status, **more})
        return poll(self.request(), "run_1")


@pytest.fixture
def oddity() -> Any:
    with website() as server:
        yield Oddity(server)


def test_what_is_sent(oddity: Oddity, monkeypatch: pytest.MonkeyPatch):
    image = keep(picture())
    request = oddity.request(prompt="x", image=image.reference(), readable={image.id: image})
    body = oddity.sent(request)
    assert body.keys() == {"deployment_id", "inputs"}
    assert body["deployment_id"] == "d1"
    assert body["inputs"]["prompt"] == "x"
    assert body["inputs"]["image"].startswith("data:image/png;base64,")
    body = oddity.sent(replace(request, callback_url="https://grimoire.example/hook"))
    assert (body["webhook"], body["webhook_intermediate_status"]) == ("https://grimoire.example/hook", True)
    quiet = replace(oddity.request(config={"webhook_intermediate_status": False}), callback_url="https://grimoire.example/hook")
    assert oddity.sent(quiet)["webhook_intermediate_status"] is False
    monkeypatch.setattr(comfydeploy, "MAX_GIVEN_BYTES", 10)
    with pytest.raises(ToolError, match="larger than"):
        run(request)


@pytest.mark.parametrize("outputs", [{}, {"outputs": None}, {"outputs": []}, {"outputs": [{"data": {"images": []}}]}], ids=str)
def test_a_webhook_of_a_success_without_its_outputs_is_but_a_hint(oddity: Oddity, outputs: dict[str, Any]):
    request = oddity.request()
    told = {"event_type": "run.updated", "run_id": "run_1", "status": "success", "run_duration": 2.5, **outputs}
    assert called_back(request, told) is None
    assert called_back(replace(request, pricing={}), told) is None
    assert isinstance(called_back(request, {**told, "outputs": [{"data": DATA}]}), Result)
    assert isinstance(called_back(request, {**told, "status": "failed"}), ToolError)


DATA = {"images": [{"url": PNG, "type": "output", "filename": "a.png", "subfolder": ""}]}


@pytest.mark.parametrize("status", ["success", "completed"])
def test_files_of_all_kinds_and_nodes_are_kept_in_order(oddity: Oddity, status: str):
    outputs = [
        {"data": DATA, "node_meta": {"node_id": 9, "node_class": "SaveImage"}},
        {
            "data": {"gifs": [{"url": "https://cdn.example.com/b.mp4", "filename": "b.mp4"}], "text": ["a fox\0"], "odd": 7},
            "node_meta": None,
        },
        {"data": {"files": [{"url": "https://cdn.example.com/c.glb"}, {"no": "url"}, "https://cdn.example.com/d.txt", 7], "text": "plain"}},
        {"data": {"images": [{"url": "https://cdn.example.com/p.png", "type": "temp"}, {"url": "file:///etc/passwd"}, {"url": 7}]}},
        {"data": DATA},
        {"data": {}},
    ]
    result = oddity.told(status, outputs=outputs, run_duration=2.5)
    first = RemoteFile(url=PNG, name="a.png")
    others = [
        RemoteFile(url=f"https://cdn.example.com/{name}", name=told) for name, told in [("b.mp4", "b.mp4"), ("c.glb", ""), ("d.txt", "")]
    ]
    assert result.output["files"] == [first, *others]
    assert result.output["outputs"] == [
        {"node": "9", "files": [first], "texts": []},
        {"node": "2", "files": others[:1], "texts": ["a fox\ufffd"]},
        {"node": "3", "files": others[1:], "texts": ["plain"]},
        {"node": "5", "files": [first], "texts": []},
    ]
    assert "file" not in result.output
    assert result.cost.usd == Decimal("0.003")
    assert result.cost.basis == {"unit": "second", "quantity": "2.5", "price": "0.0012", "table": 1}


def test_a_workflow_may_give_text_alone(oddity: Oddity):
    result = oddity.told("success", outputs=[{"data": {"text": ["a fox"]}}], run_duration=1)
    assert result.output == {"files": [], "outputs": [{"node": "1", "files": [], "texts": ["a fox"]}]}


@pytest.mark.parametrize(
    ("name", "keys"), [("a.png", {"file", "image"}), ("a.webp", {"file", "image"}), ("a.mp4", {"file"}), ("", {"file", "image"})]
)
def test_the_one_picture_has_a_name_of_its_own(oddity: Oddity, name: str, keys: set[str]):
    result = oddity.told("success", outputs=[{"data": {"images": [{"url": f"{PNG}?sig=1", "filename": name}]}}], run_duration=1)
    assert result.output.keys() == {"files", "outputs", *keys}


TIMES = {"started_at": "2026-11-24T10:00:00+00:00", "ended_at": "2026-11-24T10:00:04.500000Z"}
ENDS: list[tuple[str, dict[str, Any], tuple[str, bool, str | None]]] = [
    ("success", {"outputs": [], "run_duration": 1}, ("empty_answer", True, "0.0012")),
    ("success", {"outputs": None, "run_duration": 1}, ("empty_answer", True, "0.0012")),
    ("success", {"outputs": [{"data": {"images": []}}], **TIMES}, ("empty_answer", True, "0.0054")),
    ("failed", {"run_duration": 2}, ("provider_failed", False, "0.0024")),
    ("failed", {}, ("provider_failed", False, None)),
    ("failed", {"started_at": TIMES["ended_at"], "ended_at": TIMES["started_at"]}, ("provider_failed", False, "0")),
    ("timeout", {"run_duration": 2}, ("timed_out", True, "0.0024")),
    ("cancelled", {"run_duration": 2}, ("cancelled", True, "0.0024")),
    ("cancelled", {}, ("cancelled", True, "0")),
    ("cancelled", {"started_at": TIMES["started_at"]}, ("cancelled", True, None)),
]


@pytest.mark.parametrize(("status", "more", "meaning"), ENDS, ids=str)
def test_an_end_without_an_output_is_an_error_with_its_cost(oddity: Oddity, status: str, more: Any, meaning: Any):
    told = oddity.told(status, **more)
    assert isinstance(told, ToolError)
    code, permanent, usd = meaning
    assert (told.code, told.permanent, told.ambiguous) == (code, permanent, False)
    assert (told.cost and told.cost.usd) == (usd and Decimal(usd))


def test_outputs_may_come_a_little_after_the_end(oddity: Oddity):
    ended_at = datetime.now(UTC)
    assert oddity.told("success", outputs=[], ended_at=ended_at.isoformat()) == Progress(stage="waiting for its outputs", poll_after=3)
    assert isinstance(oddity.told("success", outputs=[{"data": DATA}], ended_at=ended_at.isoformat()), Result)
    long_ago = ended_at - timedelta(seconds=comfydeploy.OUTPUTS_COME_WITHIN_SECONDS + 1)
    assert oddity.told("success", outputs=[], ended_at=long_ago.isoformat()).code == "empty_answer"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"error": "boom"}, "boom"),
        ({"error": {"message": "boom"}}, "boom"),
        ({"outputs": [{"data": {"error": {"exception_message": "no such model"}}}], "live_status": "x"}, "no such model"),
        ({"outputs": [{"data": {"error": "no such model"}}]}, "no such model"),
        ({"live_status": "Out of memory"}, "Out of memory"),
        ({"error": " "}, "It gives no reason."),
        ({"error": [7]}, "It gives no reason."),
        ({"error": "a\0" + "b" * 5000}, "a\ufffd" + "b" * 998),
    ],
    ids=lambda told: str(told)[:30],
)
def test_the_words_of_a_failure_are_told(oddity: Oddity, more: Any, words: str):
    assert oddity.told("failed", **more).message == f"The workflow failed: {words}"


@pytest.mark.parametrize(
    ("status", "more", "progress"),
    [
        ("not-started", {}, Progress(stage="not started", poll_after=3)),
        ("queued", {"progress": 0}, Progress(percent=0, stage="queued", poll_after=3)),
        ("started", {"live_status": None}, Progress(stage="started", poll_after=3)),
        (
            "running",
            {"progress": 0.25, "live_status": "Executing KSampler"},
            Progress(percent=25, stage="Executing KSampler", poll_after=3),
        ),
        ("uploading", {"progress": 1}, Progress(percent=100, stage="uploading", poll_after=3)),
        ("processing", {"progress": 3}, Progress(stage="processing", poll_after=3)),
        ("running", {"progress": -0.5, "outputs": [{"data": DATA}]}, Progress(stage="running", poll_after=3)),
    ],
    ids=str,
)
def test_progress_is_told(oddity: Oddity, status: str, more: Any, progress: Progress):
    assert oddity.told(status, **more) == progress


@pytest.mark.parametrize(
    "more", [{"run_duration": -1}, {"run_duration": "2"}, {"started_at": "soon"}, {"started_at": "2026-01-01T00:00:00"}, {"outputs": {}}, {"outputs": [{}] * 1001}]
)  # fmt: skip
def test_wrong_shapes_are_refused(oddity: Oddity, more: Any):
    with pytest.raises(ToolError) as raised:
        oddity.told("success", **more)
    assert raised.value.code == "bad_answer"


def test_a_webhook_of_another_shape_is_refused(oddity: Oddity):
    wrong: list[Any] = [{}, [], None, "x", {"status": 7}]
    for nonsense in wrong:
        with pytest.raises(ToolError) as raised:
            called_back(oddity.request(), nonsense)
        assert raised.value.code == "bad_answer"


def test_the_deployment_must_be_named():
    with pytest.raises(ToolError, match="deployment_id"):
        run(request_for("comfydeploy", {}, config={}))
