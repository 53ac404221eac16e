"""What may go wrong with any provider that works in jobs: each adapter held against a server that answers badly."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from generations.tools.contract import Lost, Progress, Request, Submitted, ToolError
from generations.tools.provider_api import MAX_ANSWER_BYTES

from .providers import cancel, poll, run
from .toolbox import keep, request_for
from .website import Website, website

JOB = "job_1"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """How a provider takes a job, and the paths at which."""

    slug: str
    inputs: dict[str, Any]
    submit: str
    accepted: dict[str, Any]
    status: str
    at_work: dict[str, Any]
    cancel: str
    config: dict[str, Any]

    def request(self, server: Website, **more: Any) -> Request:
        config = {"base_url": server.url("/api"), "api_key_env": "JOB_KEY", "poll_seconds": 7, **self.config}
        return request_for(self.slug, self.inputs, config=config, **more)


PROVIDERS = [
    Provider(
        slug="openai.responses",
        inputs={"prompt": "hello"},
        submit="/api/responses",
        accepted={"id": JOB, "status": "queued"},
        status=f"/api/responses/{JOB}",
        at_work={"id": JOB, "status": "in_progress"},
        cancel=f"/api/responses/{JOB}/cancel",
        config={},
    ),
    Provider(
        slug="runpod",
        inputs={"input": {"prompt": "hello"}},
        submit="/api/ep1/run",
        accepted={"id": JOB, "status": "IN_QUEUE"},
        status=f"/api/ep1/status/{JOB}",
        at_work={"id": JOB, "status": "IN_PROGRESS"},
        cancel=f"/api/ep1/cancel/{JOB}",
        config={"endpoint": "ep1"},
    ),
    Provider(
        slug="comfydeploy",
        inputs={"inputs": {"prompt": "hello"}},
        submit="/api/run/deployment/queue",
        accepted={"run_id": JOB},
        status=f"/api/run/{JOB}",
        at_work={"status": "running"},
        cancel=f"/api/run/{JOB}/cancel",
        config={"deployment_id": "d1"},
    ),
]
each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.slug)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Website]:
    monkeypatch.setenv("JOB_KEY", "s3cret")
    with website() as server:
        yield server


@each_provider
def test_a_job_is_submitted_with_the_key_and_asked_for_when_the_configuration_says(server: Website, provider: Provider):
    server.put(provider.submit, provider.accepted)
    assert run(provider.request(server)) == Submitted(job_id=JOB, poll_after=7)
    [seen] = server.seen
    assert (seen.method, seen.path, seen.headers["authorization"]) == ("POST", provider.submit, "Bearer s3cret")
    assert seen.headers["content-type"] == "application/json"


@each_provider
def test_a_job_at_work_is_asked_for_again(server: Website, provider: Provider):
    server.put(provider.status, provider.at_work)
    told = poll(provider.request(server), JOB)
    assert isinstance(told, Progress)
    assert (told.poll_after, told.percent) == (7, None)
    assert server.seen[0].headers["authorization"] == "Bearer s3cret"


STATUSES = [
    (400, ("refused", True, False)),
    (401, ("unauthorized", True, False)),
    (402, ("payment_required", True, False)),
    (403, ("forbidden", True, False)),
    (404, ("not_found", True, False)),
    (409, ("conflict", False, False)),
    (413, ("too_large", True, False)),
    (422, ("rejected", True, False)),
    (429, ("rate_limited", False, False)),
    (500, ("provider_error", False, True)),
    (503, ("provider_error", False, True)),
    (307, ("redirected", True, False)),
]


@each_provider
@pytest.mark.parametrize(("status", "meaning"), STATUSES)
def test_a_job_that_is_refused_is_told_in_the_providers_words(
    server: Website, provider: Provider, status: int, meaning: tuple[str, bool, bool]
):
    headers = {"retry-after-ms": "2500", "x-request-id": "req_1", "Location": server.url("/elsewhere")}
    server.put(provider.submit, {"error": {"message": "Not today."}}, status=status, headers=headers)
    with pytest.raises(ToolError, match=rf"answered {status} .*: Not today\.") as raised:
        run(provider.request(server))
    told = raised.value
    assert (told.code, told.permanent, told.outage) == meaning
    assert (told.ambiguous, told.cost) == (False, None)
    assert told.retry_after == (None if told.permanent else 2.5)
    assert told.details["request_id"] == "req_1"
    assert len(server.seen) == 1
    assert "s3cret" not in told.message


@each_provider
@pytest.mark.parametrize("status", [302, 408, 502, 504, 520, 524])
def test_an_answer_that_may_be_a_gateways_leaves_a_submission_open(server: Website, provider: Provider, status: int):
    server.put(provider.submit, {"error": {"message": "Bad luck."}}, status=status, headers={"Location": "/elsewhere"})
    with pytest.raises(ToolError, match=f"answered {status}") as raised:
        run(provider.request(server))
    assert (raised.value.ambiguous, len(server.seen)) == (True, 1)


@each_provider
@pytest.mark.parametrize("page", [{"drop": True}, {"cut_short": True, "body": b'{"id": "job_1'}], ids=str)
def test_a_submission_whose_answer_is_lost_is_ambiguous(server: Website, provider: Provider, page: dict[str, Any]):
    server.put(provider.submit, **page)
    with pytest.raises(ToolError) as raised:
        run(provider.request(server))
    assert (raised.value.code, raised.value.ambiguous) == ("connection_lost", True)


@each_provider
def test_a_submission_that_is_not_answered_in_time_is_ambiguous(server: Website, provider: Provider):
    server.put(provider.submit, hang=True)
    with pytest.raises(ToolError) as raised:
        run(provider.request(server, timeout_seconds=0.3))
    assert (raised.value.code, raised.value.ambiguous) == ("timeout", True)


@each_provider
def test_a_provider_that_cannot_be_reached_has_begun_nothing(provider: Provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JOB_KEY", "s3cret")
    with website() as gone:
        request = provider.request(gone)
    with pytest.raises(ToolError, match="cannot be reached") as raised:
        run(request)
    assert (raised.value.ambiguous, raised.value.outage, raised.value.permanent) == (False, True, False)


NONSENSE: list[Any] = [b"", b"{", b"<html>", b"\xff", b"[" * 100_000, b'{"id": NaN}', [], None, "job", 7, {}, {"id": 7, "run_id": 7}]
HOSTILE_IDS = ["", "../../secrets", "a/b", "a?b", "a b", "a\n", "-a", ".", "..", "\0", "x" * 300, "a%2fb", "á"]


@each_provider
@pytest.mark.parametrize("body", NONSENSE, ids=lambda body: str(body)[:20])
def test_a_submission_that_is_answered_by_nonsense_may_have_begun_a_job(server: Website, provider: Provider, body: Any):
    server.put(provider.submit, body)
    with pytest.raises(ToolError, match="The answer of") as raised:
        run(provider.request(server))
    assert (raised.value.code, raised.value.ambiguous) == ("bad_answer", True)


@each_provider
@pytest.mark.parametrize("job_id", HOSTILE_IDS, ids=lambda job_id: repr(job_id)[:20])
def test_an_id_that_could_lead_elsewhere_is_refused(server: Website, provider: Provider, job_id: str):
    server.put(provider.submit, {**provider.accepted, "id": job_id, "run_id": job_id})
    with pytest.raises(ToolError) as raised:
        run(provider.request(server))
    assert (raised.value.code, raised.value.ambiguous) == ("bad_answer", True)


@each_provider
@pytest.mark.parametrize(
    "body", [*NONSENSE, {"id": JOB}, {"id": JOB, "status": 7}, {"id": JOB, "status": "x" * 200}], ids=lambda body: str(body)[:20]
)
def test_a_poll_that_is_answered_by_nonsense_says_nothing_of_the_job(server: Website, provider: Provider, body: Any):
    server.put(provider.status, body)
    with pytest.raises(ToolError, match="The answer of") as raised:
        poll(provider.request(server), JOB)
    assert (raised.value.code, raised.value.ambiguous, raised.value.permanent) == ("bad_answer", False, False)


@each_provider
@pytest.mark.parametrize("status", [401, 409, 429, 500, 307])
def test_a_poll_that_is_refused_says_nothing_of_the_job(server: Website, provider: Provider, status: int):
    server.put(provider.status, {"error": "no"}, status=status, headers={"retry-after": "3"})
    with pytest.raises(ToolError, match=f"answered {status}") as raised:
        poll(provider.request(server), JOB)
    assert not raised.value.ambiguous


@each_provider
def test_a_poll_whose_answer_is_lost_changes_nothing(server: Website, provider: Provider):
    server.put(provider.status, drop=True)
    with pytest.raises(ToolError) as raised:
        poll(provider.request(server), JOB)
    assert (raised.value.code, raised.value.ambiguous) == ("connection_lost", False)


@each_provider
def test_an_answer_without_end_is_not_read(server: Website, provider: Provider):
    server.put(provider.status, b" " * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(ToolError, match="larger than") as raised:
        poll(provider.request(server), JOB)
    assert raised.value.code == "too_large"


@each_provider
def test_a_job_that_its_provider_does_not_know_is_lost(server: Website, provider: Provider):
    told = poll(provider.request(server), JOB)
    assert isinstance(told, Lost)
    assert JOB in told.message


@each_provider
def test_a_job_whose_id_never_came_cannot_be_looked_up(server: Website, provider: Provider):
    told = poll(provider.request(server), "")
    assert isinstance(told, ToolError)
    assert "by its id only" in told.message
    assert (told.ambiguous, server.seen) == (True, [])


@each_provider
def test_a_status_that_nobody_knows_is_still_at_work(server: Website, provider: Provider):
    server.put(provider.status, {**provider.at_work, "status": "PONDERING\0"})
    told = poll(provider.request(server), JOB)
    assert isinstance(told, Progress)
    assert "\0" not in told.stage
    assert "pondering" in told.stage.lower()


@each_provider
@pytest.mark.parametrize("status", [200, 202, 204, 400, 404, 409])
def test_cancelling_a_job_that_has_ended_is_no_error(server: Website, provider: Provider, status: int):
    server.put(provider.cancel, b"", status=status)
    cancel(provider.request(server), JOB)
    assert [(seen.method, seen.path) for seen in server.seen] == [("POST", provider.cancel)]


@each_provider
def test_a_cancel_that_fails_is_told(server: Website, provider: Provider):
    server.put(provider.cancel, {"error": "no"}, status=500)
    with pytest.raises(ToolError, match="answered 500"):
        cancel(provider.request(server), JOB)


@each_provider
def test_a_missing_key_is_named(server: Website, provider: Provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("JOB_KEY")
    with pytest.raises(ToolError, match="JOB_KEY, which is not set") as raised:
        run(provider.request(server))
    assert raised.value.permanent


@each_provider
def test_a_configuration_that_does_not_fit_is_told(server: Website, provider: Provider):
    request = request_for(provider.slug, provider.inputs, config={"nonsense": 1})
    for call in (run, lambda request: poll(request, JOB), lambda request: cancel(request, JOB)):
        with pytest.raises(ToolError) as raised:
            call(request)
        assert (raised.value.code, raised.value.permanent) == ("bad_config", True)
    assert server.seen == []


@each_provider
def test_what_is_not_the_initiators_is_not_sent(server: Website, provider: Provider):
    reference = keep(b"not yours").reference()
    [field] = provider.inputs
    strange = {field: {"image": reference}} if field != "prompt" else {"prompt": "x", "images": [reference]}
    request = request_for(provider.slug, strange, config=dict(provider.request(server).config))
    with pytest.raises(ToolError, match="No artefact") as raised:
        run(request)
    assert raised.value.permanent
    assert server.seen == []
