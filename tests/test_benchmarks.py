"""The parts of `python -m benchmarks` that reckon and show. The contenders themselves need the group `bench`."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks import contest, showing
from benchmarks.contenders.work import STEPS, TEXT, Measured, outcome, step, wait_until
from benchmarks.contest import CONTENDERS, Contender, Line


class Rounds:
    """What rounds take: those of the floor are quick, ours less so, the others slow; the first and the third take twice as long."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    def __call__(self, contender: Contender) -> Measured:
        self.taken[contender.name] += 1
        many = {"floor": 0.5, "ours": 1.0, "other": 8.0}[contender.kind] * (1 + self.taken[contender.name] % 2)
        return Measured(many=many, alone=[] if contender.mode in {"queue", "sets"} else [many / 100] * 2)


@pytest.fixture
def lines() -> list[Line]:
    return contest.contend(CONTENDERS, rounds=3, workflows=20, take=Rounds(), told=lambda _: None)


def test_contenders_take_turns_and_are_told():
    told: list[str] = []
    one, other = CONTENDERS[:2]
    contest.contend([one, other], rounds=2, workflows=1, take=Rounds(), told=told.append)
    assert told == [f"round {number} of 2: {each.name}" for number in (1, 2) for each in (one, other)]


def test_a_line_tells_the_median_and_how_far_its_rounds_lie_apart(lines):
    ours = lines[0]
    assert ours.rates == [20 * STEPS / 2, 20 * STEPS / 1, 20 * STEPS / 2]
    assert (ours.rate, ours.noise, ours.milliseconds) == (50.0, 1.0, 20.0)


def test_the_best_mode_of_a_family_counts(lines):
    assert contest.best(lines, "dbos") == (100 / 16, 160.0)
    assert contest.best(lines, "nobody") == (None, None)
    lines[3].rates, lines[4].alone = [90.0], [1.0]
    assert contest.best(lines, "dbos") == (90.0, 1.0)


def test_targets_are_met_or_missed(lines):
    assert [(target.value, target.is_met) for target in contest.targets(lines)] == [(8.0, True), (8.0, True), (2.0, True), (8.0, True)]
    lines[3].rates = [40.0]
    assert contest.targets(lines)[0].is_met is False


def test_what_was_left_out_is_no_target():
    assert {target.is_met for target in contest.targets([])} == {None}


def test_all_that_was_measured_can_be_kept(lines):
    kept = json.loads(json.dumps(contest.as_json(lines, about={"how": "so"})))
    assert kept["about"] == {"how": "so"}
    assert kept["contenders"][0]["rounds"] == [50.0, 100.0, 50.0]
    assert kept["targets"][0]["met"] is True


def test_the_table_has_a_line_for_each(lines):
    console = Console(width=120, record=True, file=StringIO())
    console.print(showing.table(lines))
    told = console.export_text()
    assert all(contender.name in told for contender in CONTENDERS)
    assert "± 50%" in told


def test_the_picture_is_an_image_with_a_bar_for_each(lines):
    tree = ET.fromstring(showing.picture(lines, about="<how>"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(tree.findall(f"{space}rect")) == 1 + len(CONTENDERS)
    assert tree.findall(f"{space}text")[-1].text == "<how>"
    assert all(float(bar.get("width")) > 0 for bar in tree.findall(f"{space}rect"))


def test_writing_replaces_what_was_written_before_and_nothing_else(lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "PERFORMANCE", tmp_path / "performance.md")
    monkeypatch.setattr(command, "PICTURE", tmp_path / "performance.svg")
    command.PERFORMANCE.write_text(f"Before.\n\n{command.BEGIN}\nold\n{command.END}\n\nAfter.\n")
    for _ in range(2):
        command.write(showing.markdown(lines, contest.targets(lines), about="How."), "<svg/>")
    told = command.PERFORMANCE.read_text()
    assert told.startswith("Before.\n")
    assert told.endswith("\nAfter.\n")
    assert "old" not in told
    assert told.count("How.") == 1
    assert "| grimoire | 50 |" in told
    assert command.PICTURE.read_text() == "<svg/>"


def test_the_document_has_a_place_for_what_is_written():
    told = command.PERFORMANCE.read_text()
    assert told.count(command.BEGIN) == told.count(command.END) == 1


def test_contenders_are_chosen_by_words():
    assert {each.family for each in command.chosen(["dbos", "celery"])} == {"dbos", "celery"}
    assert command.chosen([]) == list(CONTENDERS)
    with pytest.raises(ValueError, match="No contender is called temporal"):
        command.chosen(["temporal"])


def test_the_work_is_what_it_says():
    assert len(TEXT) == 200
    assert step("abc") == "bca"
    assert outcome() == TEXT[STEPS:] + TEXT[:STEPS]


def test_waiting_ends_with_an_error():
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, pause=0.0, seconds=0.0)


def test_it_starts_as_the_program_that_it_is():
    asked = [sys.executable, "-m", "benchmarks", "--help"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60, env={"PATH": os.environ["PATH"]})
    assert told.returncode == 0, told.stderr
    assert "usage: python -m benchmarks" in told.stdout
