"""The fake provider as a process of its own: how it begins, how it ends, and what a kill leaves behind."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.core.management import CommandError, call_command

from generations.tools.http_client import certificates
from tests.functional.site import Running
from tests.processes import wait_for

MODEL = "/replicate/v1/models/a/b/predictions"
CHAT = "/openai/v1/chat/completions"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "A fox."}]}


class Process:
    """One run of the command."""

    def __init__(self, folder: Path, *options: str, by_fork: bool) -> None:
        environment = {**os.environ, "GRIMOIRE_DATA_DIR": str(folder), "GRIMOIRE_ENV_FILE": os.devnull}
        port = () if "--port" in options else ("--port", "0")
        self.running = Running("manage.py", "fakeprovider", *port, *options, environment=environment, log=folder / "said", by_fork=by_fork)
        self.url = self.running.says(r"serves at (http://127\.0\.0\.1:\d+)")[1]
        self.client = httpx2.Client(trust_env=False, timeout=60, headers={"Authorization": "Bearer fake-key"}, verify=certificates())

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        return self.client.request(method, self.url + path, **options)

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """End it, and return its exit code and the seconds that it took."""
        began = time.monotonic()
        self.running.tell(number)
        code = self.running.end()
        self.client.close()
        return code, time.monotonic() - began


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*options: str, by_fork: bool = True) -> Process:
        started.append(Process(tmp_path, *options, by_fork=by_fork))
        return started[-1]

    yield start
    for each in started:
        each.running.process.kill()
        each.end(signal.SIGKILL)


def test_it_says_where_it_is_once_it_can_be_told_to_stop(start: Callable[..., Process]):
    for number in (signal.SIGTERM, signal.SIGINT):
        assert start(by_fork=False).end(number)[0] == 0


def test_it_ends_soon_whatever_it_is_at(start: Callable[..., Process]):
    fake = start("--pictures", "painted", "--latency", "0", "--late-webhooks", "1")
    hook = {"webhook": "http://127.0.0.1:1/", "input": {"prompt": "a fox", "num_outputs": 8, "width": 1024, "height": 1024}}
    urls = fake.ask("POST", MODEL, json=hook, headers={"Prefer": "wait"}).json()["output"]
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(fake.client.get, url) for url in urls * 2]
        waiting.append(pool.submit(fake.ask, "POST", MODEL, json={"input": {"x-fake-hold": True}}, headers={"Prefer": "wait"}))
        waiting.append(pool.submit(fake.ask, "POST", MODEL, json={"input": {"x-fake-hang": True}}))
        wait_for("it is busy", lambda: fake.ask("GET", "/__fake/stats").json()["live"] == 1)
        code, seconds = fake.end(signal.SIGTERM)
    assert code == 0
    assert seconds < 10, "a painting takes a few seconds, and sixteen of them were asked for"


def test_a_kill_between_bill_and_answer_is_seen_as_billed(start: Callable[..., Process], tmp_path: Path):
    log = tmp_path / "billed.jsonl"
    key = {"Idempotency-Key": "one"}
    fake = start("--log", str(log))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(fake.ask, "POST", CHAT, json=QUESTION, headers={**key, "x-fake-delay": "60"})
        wait_for("it is billed", lambda: fake.ask("GET", "/__fake/ledger").json()["count"] == 1)
        assert fake.end(signal.SIGKILL)[0] == -signal.SIGKILL
        assert isinstance(answer.exception(), httpx2.TransportError)
    again = start("--log", str(log))
    assert again.ask("GET", "/__fake/ledger?key=one").json()["count"] == 1
    assert again.ask("GET", "/__fake/counts").json()["keys"]["one"]["billed"] == 1
    assert again.ask("POST", CHAT, json=QUESTION, headers=key).status_code == 200
    assert again.ask("GET", "/__fake/ledger").json()["count"] == 1, "it comes again under its key, and is not billed again"
    assert [json.loads(line)["idempotency_key"] for line in log.read_text().splitlines()] == ["one"]


def submit(fake: Process, *, wait: int = 0, **told: Any) -> Any:
    body = {"input": {"prompt": "a fox", **{f"x-fake-{name}": value for name, value in told.items()}}}
    return fake.ask("POST", MODEL, json=body, headers={"Prefer": f"wait={wait}"} if wait else {}).json()


def status_of(fake: Process, job: Any) -> str:
    return str(fake.ask("GET", f"/replicate/v1/predictions/{job['id']}").json()["status"])


def respond(fake: Process) -> str:
    body = {"model": "m", "input": "A fox.", "background": True}
    return str(fake.ask("POST", "/openai/v1/responses", json=body, headers={"Idempotency-Key": "one", "x-fake-hold": "true"}).json()["id"])


def test_jobs_are_lost_by_a_kill(start: Callable[..., Process]):
    fake = start()
    job = submit(fake, hold=True)
    fake.end(signal.SIGKILL)
    again = start()
    assert again.ask("GET", f"/replicate/v1/predictions/{job['id']}").status_code == 404


def test_jobs_that_are_kept_go_on_after_a_kill_and_are_billed_once(start: Callable[..., Process], tmp_path: Path):
    options = ("--jobs", str(tmp_path / "jobs.jsonl"), "--log", str(tmp_path / "billed.jsonl"))
    fake = start(*options)
    port = fake.url.rpartition(":")[2]
    ended, lost, held = submit(fake, latency=0, wait=60), submit(fake, lose=True), submit(fake, hold=True)
    response, working = respond(fake), submit(fake, latency=4)
    assert ended["status"] == "succeeded"
    wait_for("it is at work", lambda: status_of(fake, working) == "processing")
    fake.end(signal.SIGKILL)

    again = start("--port", port, *options)
    assert again.ask("GET", f"/replicate/v1/predictions/{ended['id']}").json()["output"] == ended["output"]
    assert again.client.get(ended["output"][0]).content.startswith(b"\x89PNG")
    assert again.ask("GET", f"/replicate/v1/predictions/{lost['id']}").status_code == 404
    assert respond(again) == response, "the key is still that of the first one"
    wait_for("it goes on", lambda: status_of(again, working) == "succeeded")
    assert status_of(again, held) in ("starting", "processing")
    told = again.ask("GET", "/__fake/ledger").json()["entries"]
    assert sorted(entry["id"] for entry in told) == sorted([ended["id"], working["id"]])
    counts = again.ask("GET", "/__fake/counts").json()["dialects"]
    assert {name: counts[name]["accepted"] for name in counts} == {"replicate": 3, "openai": 1}
    assert submit(again, latency=0, wait=60)["status"] == "succeeded"
    numbers = [job["number"] for job in again.ask("GET", "/__fake/jobs").json()]
    assert len(set(numbers)) == len(numbers) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lose-webhooks", "0.7", "--double-webhooks", "0.4"], "more than all"),
        (["--log", "{folder}/notes.txt"], "no log of a fake provider: see line 1"),
        (["--jobs", "{folder}/notes.txt"], "no file of a fake provider's jobs: see line 1"),
        (["--log", "{folder}/none/billed.jsonl"], "No such file"),
        (["--port", "99999"], "0-65535"),
    ],
)
def test_what_cannot_be_served_is_refused_in_words(tmp_path: Path, options: list[str], words: str):
    (tmp_path / "notes.txt").write_text("Buy milk.\n")
    with pytest.raises(CommandError, match=words):
        call_command("fakeprovider", *[option.format(folder=tmp_path) for option in ["--port", "0", *options]])
