"""What all dialects share: the log, the drawing of lots, rules, and the command."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from generations.fakeprovider.instructions import BadInstruction, Instruction, Rules
from generations.fakeprovider.prices import PRICES
from generations.fakeprovider.settings import Settings, Span
from generations.fakeprovider.words import document
from generations.tools.http_client import certificates
from spells.schemas import check
from tests.fakes import Serving, fake_provider
from tests.functional.site import Running
from tests.processes import wait_for

MODEL = "/replicate/v1/models/a/b/predictions"


def test_lots_are_drawn_the_same_for_the_same_seed_and_fall_as_often_as_told():
    one, same, other = (Settings(seed=seed) for seed in (1, 1, 2))
    drawn = [one.chance(number, "fail") for number in range(4000)]
    assert drawn == [same.chance(number, "fail") for number in range(4000)]
    assert drawn != [other.chance(number, "fail") for number in range(4000)]
    assert 0.04 < sum(each < 0.05 for each in drawn) / 4000 < 0.06


@pytest.mark.parametrize("text", ["3..1", "x", "..", "-1", "1..nan", "1..99999999"])
def test_a_span_that_is_none_is_refused(text: str):
    with pytest.raises(ValueError, match="span of seconds"):
        Span.read(text)


def test_a_request_fails_once_and_then_works():
    with fake_provider(fail=1.0) as fake:
        body = {"input": {"prompt": "a fox"}}
        told = [fake.request("POST", MODEL, json=body, headers={"Prefer": "wait"}).json()["status"] for _ in range(3)]
        assert told == ["failed", "succeeded", "succeeded"]


def test_a_request_fails_each_time_when_that_is_wanted():
    with fake_provider(fail=1.0, fail_always=True) as fake:
        told = [fake.request("POST", MODEL, json={"input": {}}, headers={"Prefer": "wait"}).json()["status"] for _ in range(2)]
        assert told == ["failed", "failed"]


@pytest.mark.parametrize(
    "told",
    [
        {"sleep": 1},
        {"latency": -1},
        {"latency": True},
        {"latency": "long"},
        {"status": 200},
        {"drop": "now"},
        {"hold": 1},
        {"fail": 3},
        {"webhooks": "eat"},
    ],
)
def test_an_instruction_that_cannot_be_followed_is_refused(fake: Serving, told: dict[str, Any]):
    with pytest.raises(BadInstruction):
        Instruction.read(told)
    inputs = {f"x-fake-{name}": value for name, value in told.items()}
    assert fake.request("POST", MODEL, json={"input": inputs}).status_code == 400
    response = httpx2.post(f"{fake.url}/__fake/rules", json={"do": told}, trust_env=False, verify=certificates())
    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize("told", [{}, {"do": {}, "count": 0}, {"do": {}, "place": "moon"}, {"do": {}, "more": 1}, {"do": {}, "match": 3}])
def test_a_rule_that_is_none_is_refused(told: dict[str, Any]):
    with pytest.raises(BadInstruction):
        Rules().add(told)


def test_headers_win_over_inputs_and_inputs_over_rules(fake: Serving):
    fake.tell(fail="by rule", hold=False)
    told = fake.request("POST", MODEL, json={"input": {"x-fake-fail": "by input"}}, headers={"Prefer": "wait", "x-fake-fail": "by header"})
    assert told.json()["error"] == "by header"


def test_an_answer_can_be_garbage(fake: Serving):
    fake.tell(garbage=True)
    told = fake.request("POST", MODEL, json={"input": {}})
    assert (told.status_code, told.text[:6]) == (200, "<html>")
    assert fake.control("stats")["accepted"] == 1


def test_a_body_that_is_no_json_is_refused_as_each_provider_words_it(fake: Serving):
    for path, scheme in ((MODEL, "Bearer"), ("/fal/a/b", "Key"), ("/openai/v1/chat/completions", "Bearer"), ("/runpod/v2/e/run", "Bearer")):
        for body in (b"{", b"[" * 100_000, b"\xff"):
            assert fake.request("POST", path, content=body, scheme=scheme).status_code == 400, path


def test_thousands_of_jobs_are_in_flight_at_once_on_timers_alone():
    with fake_provider(latency=Span(least=0, most=1)) as fake, httpx2.Client(trust_env=False, verify=certificates()) as client:
        headers = {"Authorization": f"Bearer {fake.key}"}
        for _ in range(1000):
            client.post(fake.url + MODEL, json={"input": {"x-fake-latency": 60}}, headers=headers)
        stats = fake.control("stats")
        assert (stats["accepted"], stats["live"]) == (1000, 1000)


def test_an_answer_in_json_fits_its_schema():
    schema = {
        "type": "object",
        "properties": {
            "mood": {"enum": ["calm", "dark"]},
            "score": {"type": "integer", "minimum": 3, "maximum": 5},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 2},
            "is_new": {"type": "boolean"},
            "none": {"type": "null"},
            "name": {"type": ["string", "null"], "minLength": 200},
        },
        "required": ["mood", "score", "tags", "is_new", "none", "name"],
        "additionalProperties": False,
    }
    assert check(document("Tell me about a fox", schema, model="m"), schema, path="answer") == []


def test_the_command_serves_until_it_is_told_to_stop_and_goes_on_with_its_log(tmp_path: Path):
    log = tmp_path / "billed.jsonl"
    for expected in (1, 2):
        running = Running(
            "manage.py",
            "fakeprovider",
            "--port",
            "0",
            "--latency",
            "0",
            "--log",
            str(log),
            environment=_environment(tmp_path),
            log=tmp_path / "said",
            by_fork=True,
        )
        url = running.says(r"serves at (http://127\.0\.0\.1:\d+)")[1]
        headers = {"Authorization": "Bearer fake-key", "Prefer": "wait"}
        body = {"input": {"x-fake-latency": 0.01}}
        assert httpx2.post(url + MODEL, json=body, headers=headers, trust_env=False, verify=certificates()).json()["status"] == "succeeded"
        assert httpx2.get(f"{url}/__fake/ledger", trust_env=False, verify=certificates()).json()["count"] == expected
        running.process.terminate()
        assert running.end() == 0
    assert Counter(json.loads(line)["dialect"] for line in log.read_text().splitlines()) == {"replicate": 2}


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "GRIMOIRE_DATA_DIR": str(folder), "GRIMOIRE_ENV_FILE": os.devnull}


def test_the_table_of_the_documentation_has_the_prices_of_the_code():
    told = (Path(__file__).parents[3] / "docs" / "fakeprovider.md").read_text()
    for prices in PRICES.values():
        for unit, price in prices.items():
            assert re.search(rf"`{unit}` {re.escape(price)}\b", told), (unit, price)


def test_a_file_is_refused_when_a_rule_says_so(fake: Serving):
    fake.tell(place="file", status=503)
    url = fake.request("POST", MODEL, json={"input": {}}, headers={"Prefer": "wait"}).json()["output"][0]
    assert fake.request("GET", url.removeprefix(fake.url), key="").status_code == 503
    wait_for("the file", lambda: fake.file(url))
