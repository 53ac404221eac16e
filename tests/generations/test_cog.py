"""replicate.cog against cog itself."""

import threading
from dataclasses import replace
from decimal import Decimal

import httpx2
import pytest

from generations.tools.contract import Result, ToolError
from generations.tools.http_client import certificates
from tests.peers.cog import cog_server
from tests.processes import wait_for

from .toolbox import ask, keep, picture, request_for


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with cog_server(tmp_path_factory.mktemp("cog")) as url:
        yield url


@pytest.fixture
def cog(server):
    """A server that has done what the test before asked of it: it makes one prediction at a time."""
    wait_for("the server is free", lambda: is_idle(server))
    return server


def request_to(url, *, readable=None, timeout_seconds=20, **given):
    config = {"base_url": url, "api_key_env": "", "submit": "put", "poll_seconds": 0.1}
    pricing = {"per_second": "0.001"}
    return request_for(
        "replicate.cog", {"input": given}, config=config, pricing=pricing, readable=readable, timeout_seconds=timeout_seconds
    )


def is_idle(url) -> bool:
    return bool(httpx2.get(f"{url}/health-check", trust_env=False, verify=certificates()).json()["status"] == "READY")


def test_a_model_runs_and_its_time_is_charged(cog):
    result = ask(request_to(cog, text="a fox", seconds=0.1), "run")
    assert result.output == {"output": "a fox", "files": []}
    assert result.cost.usd > Decimal("0.0001")


def test_files_go_in_and_out(cog):
    data = picture(width=300, height=200)
    stored = keep(data)
    assert ask(request_to(cog, file=stored.reference(), readable={stored.id: stored}), "run").output["output"] == f"lamp {len(data)}"
    result = ask(request_to(cog, text="picture"), "run")
    assert result.output["image"].url.startswith("data:image/gif;base64,")


def test_a_model_that_fails_is_told_in_its_words(cog):
    with pytest.raises(ToolError, match=r"The model failed: .*The lamp is out\.") as raised:
        ask(request_to(cog, text="fail"), "run")
    assert raised.value.cost is not None


def test_a_busy_server_is_tried_again(cog):
    ended: list[Result] = []
    running = threading.Thread(target=lambda: ended.append(ask(request_to(cog, text="slow", seconds=2), "run")))
    running.start()
    wait_for("the server is busy", lambda: not is_idle(cog))
    with pytest.raises(ToolError, match="At capacity") as raised:
        ask(request_to(cog, text="other"), "run")
    assert (raised.value.code, raised.value.permanent, raised.value.ambiguous) == ("conflict", False, False)
    running.join()
    assert ended[0].output["output"] == "slow"


def test_a_call_whose_answer_was_lost_is_made_again(cog):
    request = request_to(cog, text="slow", seconds=2, timeout_seconds=0.5)
    with pytest.raises(ToolError) as raised:
        ask(request, "run")
    assert (raised.value.code, raised.value.ambiguous) == ("timeout", True)
    assert ask(replace(request, timeout_seconds=30), "run").output["output"] == "slow"


def test_a_prediction_that_is_still_at_work_is_waited_for(cog):
    request = request_to(cog, text="again", seconds=0.6)
    url = f"{cog}/predictions/{request.idempotency_key}"
    body = {"input": dict(request.inputs["input"])}
    wait_for("the server is free", lambda: is_idle(cog))
    begun = httpx2.put(url, json=body, headers={"Prefer": "respond-async"}, trust_env=False, verify=certificates())
    assert begun.status_code == 202
    assert ask(request, "run").output["output"] == "again"


def test_what_is_cancelled_ends(cog):
    request = request_to(cog, text="stopped", seconds=5)
    ended: list[ToolError] = []

    def run():
        with pytest.raises(ToolError) as raised:
            ask(request, "run")
        ended.append(raised.value)

    running = threading.Thread(target=run)
    running.start()
    wait_for("the server is busy", lambda: not is_idle(cog))
    ask(request, "cancel", str(request.idempotency_key))
    running.join()
    assert (ended[0].code, ended[0].permanent) == ("job_cancelled", True)
    ask(request, "cancel", str(request.idempotency_key))
