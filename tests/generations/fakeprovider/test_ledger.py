"""The log of what was billed: whole lines alone, one for each call, there before anybody is told."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from generations.fakeprovider.appended import FileError
from generations.fakeprovider.identity import Identity
from generations.fakeprovider.ledger import Ledger
from generations.fakeprovider.prices import lines
from tests.fakes import Serving, fake_provider

GENERATION = "01890a5d-ac96-774b-bcce-b302099a8057"
CHAT = "/openai/v1/chat/completions"
MODEL = "/replicate/v1/models/a/b/predictions"


def bill(ledger: Ledger, **told: Any) -> dict[str, Any]:
    order = {"dialect": "fal", "id": "1", "model": "m", "status": "succeeded", "whose": Identity(), **told}
    return ledger.bill(lines=lines("fal", {"per_second": Decimal("1.5")}), **order)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_a_log_survives_its_own_restart_and_a_line_that_was_cut_short(tmp_path: Path):
    path = tmp_path / "billed.jsonl"
    ledger = Ledger(path, fsync=True)
    bill(ledger, whose=Identity(callback=f"http://x/callbacks/{GENERATION}:s/", idempotency_key="k"))
    ledger.close()
    with path.open("a") as file:
        file.write('{"at": "2026')
    again = Ledger(path)
    bill(again, id="2")
    again.close()
    assert (again.count, again.usd) == (2, Decimal("0.0015"))
    third = Ledger(path)
    third.close()
    assert [entry["id"] for entry in third.entries] == ["1", "2"]
    assert third.entries[0]["generation_id"] == GENERATION
    assert ids(path) == ["1", "2"], "each line of the file is an entry, for whoever reads it"


def test_a_last_line_without_its_end_is_kept_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "billed.jsonl"
    ledger = Ledger(path)
    bill(ledger)
    ledger.close()
    path.write_text(path.read_text().rstrip("\n"))
    again = Ledger(path)
    bill(again, id="2")
    again.close()
    assert ids(path) == ["1", "2"]


@pytest.mark.parametrize("line", ["spam", "[]", "{}", '{"usd": "many"}', '{"usd": 3}', "\udcff"])
def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path: Path, line: str):
    path = tmp_path / "billed.jsonl"
    path.write_bytes(f"{line}\n".encode(errors="surrogateescape"))
    with pytest.raises(FileError, match="line 1"):
        Ledger(path)
    assert path.read_bytes() == f"{line}\n".encode(errors="surrogateescape")


def test_a_log_has_one_writer(tmp_path: Path):
    path = tmp_path / "billed.jsonl"
    first = Ledger(path)
    with pytest.raises(FileError, match="Another"):
        Ledger(path)
    first.close()
    Ledger(path).close()


def test_an_entry_is_in_the_file_when_bill_returns(tmp_path: Path):
    path = tmp_path / "billed.jsonl"
    ledger = Ledger(path)
    bill(ledger)
    assert ids(path) == ["1"]
    ledger.close()


def test_what_could_not_be_written_down_is_not_billed(tmp_path: Path):
    ledger = Ledger(tmp_path / "billed.jsonl")
    with Path("/dev/full").open("wb", buffering=0) as full:
        file = ledger._file
        assert file
        written, file._file = file._file, full
        with pytest.raises(OSError, match="No space"):
            bill(ledger)
        file._file = written
    assert (ledger.count, ledger.usd, list(ledger.entries)) == (0, Decimal(0), [])
    assert bill(ledger)["id"] == "1"
    ledger.close()


def test_a_job_is_billed_once_also_by_a_provider_that_started_again(tmp_path: Path):
    path = tmp_path / "billed.jsonl"
    ledger = Ledger(path)
    first = bill(ledger)
    assert bill(ledger) == first
    assert bill(ledger, dialect="openai")["dialect"] == "openai", "ids are a dialect's own"
    ledger.close()
    again = Ledger(path)
    assert bill(again) == first
    again.close()
    assert ids(path) == ["1", "1"]


def test_an_idempotency_key_is_billed_once_for_one_request(tmp_path: Path):
    path = tmp_path / "billed.jsonl"
    ledger = Ledger(path)
    whose = Identity(idempotency_key="k", request="r")
    first = bill(ledger, whose=whose)
    ledger.close()
    again = Ledger(path)
    assert bill(again, id="2", whose=whose) == first
    assert bill(again, id="3", whose=Identity(idempotency_key="k", request="other"))["id"] == "3"
    assert bill(again, id="4", whose=Identity(request="r"))["id"] == "4", "without a key each call is one of its own"
    again.close()
    assert ids(path) == ["1", "3", "4"]


def test_metadata_that_is_large_is_not_copied_into_the_log():
    entry = bill(Ledger(), whose=Identity(metadata={"much": "x" * 100_000}))
    assert len(json.dumps(entry)) < 5000


def chat(fake: Serving, text: str, **headers: str) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return fake.request("POST", CHAT, json=body, headers=headers)


def test_the_log_is_read_by_job_generation_key_and_dialect(fake: Serving):
    hook = f"http://127.0.0.1:1/api/v1/callbacks/replicate/{GENERATION}:s/"
    job = fake.request("POST", MODEL, json={"input": {}, "webhook": hook}, headers={"Prefer": "wait"}).json()["id"]
    chat(fake, "A fox.", **{"Idempotency-Key": "k-1"})
    chat(fake, "A wolf.")
    for query, count in (
        ("", 3),
        (f"?job={job}", 1),
        (f"?generation={GENERATION}", 1),
        ("?key=k-1", 1),
        ("?dialect=openai", 2),
        ("?job=x", 0),
    ):
        told = fake.control(f"ledger{query}")
        assert (told["count"], len(told["entries"])) == (count, count), query
        assert Decimal(told["usd"]) == sum((Decimal(entry["usd"]) for entry in told["entries"]), Decimal(0))
    assert [len(fake.control(f"ledger?last={last}")["entries"]) for last in (0, 2)] == [0, 2]
    assert fake.control("ledger?last=0")["count"] == 3


def test_the_log_is_read_by_nothing_else(fake: Serving):
    assert fake.request("GET", "/__fake/ledger?generatoin=x").status_code == 400
    assert fake.request("GET", "/__fake/ledger?last=x").status_code == 400


def test_calls_are_counted_by_generation_by_key_and_by_request(fake: Serving):
    hook = f"http://127.0.0.1:1/api/v1/callbacks/replicate/{GENERATION}:s/"
    for prompt in ("a fox", "a wolf"):
        body = {"input": {"prompt": prompt, "x-fake-fail": "no", "x-fake-latency": 0}, "webhook": hook}
        fake.request("POST", MODEL, json=body, headers={"Prefer": "wait"})
    fake.request("POST", "/fal/a/b", json={"prompt": "a fox", "x-fake-lose": True}, scheme="Key")
    for _ in range(2):
        chat(fake, "A fox.", **{"Idempotency-Key": "k-1"})
        chat(fake, "A fox.")
    told = fake.control("counts")
    counted = told["generations"][GENERATION]
    assert (counted["accepted"], counted["billed"]) == (2, 2)
    assert Decimal(counted["usd"]) > 0
    assert {name: told["keys"]["k-1"][name] for name in ("accepted", "billed")} == {"accepted": 1, "billed": 1}
    times = sorted((each["accepted"], each["billed"]) for each in told["requests"].values())
    assert times == [(1, 0), (1, 1), (1, 1), (3, 3)], "chat with and without a key asked the same"
    assert told["dialects"]["fal"] == {"accepted": 1, "billed": 0, "usd": "0"}


def test_a_call_whose_answer_was_cut_off_is_in_the_log(tmp_path: Path):
    log = tmp_path / "billed.jsonl"
    with fake_provider(log=log) as fake:
        fake.tell(hang="after")
        with pytest.raises(Exception, match="timed out"):
            fake.request("POST", CHAT, json={"model": "m", "messages": [{"role": "user", "content": "A fox."}]}, timeout=0.5)
        assert [json.loads(line)["status"] for line in log.read_text().splitlines()] == ["succeeded"]
