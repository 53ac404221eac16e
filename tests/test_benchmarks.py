"""The parts of `python -m benchmarks` that reckon and show. The contenders themselves need the group `bench`."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks import contest, curves, everything, measured, runs, showing, targets
from benchmarks.contenders.work import STEPS, TEXT, Measured, outcome, step, wait_until
from benchmarks.contest import CONTENDERS, Contender, Line
from benchmarks.idle import processor_seconds
from benchmarks.measured import Outcome
from benchmarks.targets import Target
from tests.functional.site import ROOT


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


def test_what_came_of_a_contest_is_told_by_ratios(lines):
    outcome = contest.outcome(lines)
    assert outcome.figures == {
        "steps_per_second": 50.0,
        "times_dbos": 8.0,
        "pairs_times_dbos": 8.0,
        "times_procrastinate": 8.0,
        "times_floor_of_pairs": 0.5,
        "times_floor_of_sets": 2.0,
        "alone_ms": 20.0,
        "alone_times_dbos": 8.0,
        "alone_times_floor": 2.0,
    }
    assert outcome.series == {"steps_per_second": [(1, 50.0), (2, 50.0)], "floor_per_second": [(1, 100.0), (2, 100.0)]}


def test_what_was_left_out_has_no_figure():
    assert contest.outcome([]).figures == {}


def test_all_that_was_measured_can_be_kept(lines):
    kept = json.loads(json.dumps(contest.as_json(lines, about={"how": "so"})))
    assert kept["about"] == {"how": "so"}
    assert kept["contenders"][0]["rounds"] == [50.0, 100.0, 50.0]


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


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with documents of its own to be written into."""
    monkeypatch.setattr(measured, "FOLDER", tmp_path / "measured")
    monkeypatch.setattr(targets, "PERFORMANCE", tmp_path / "performance.md")
    monkeypatch.setattr(targets, "README", tmp_path / "README.md")
    monkeypatch.setattr(curves, "DOCS", tmp_path)
    monkeypatch.setattr(command, "PICTURE", tmp_path / "performance.svg")
    marks = f"{targets.BEGIN}\nold\n{targets.END}"
    targets.PERFORMANCE.write_text(f"Before.\n\n{command.BEGIN}\nold\n{command.END}\n\n{marks}\n\nAfter.\n")
    targets.README.write_text(f"Before.\n\n{marks}\n\nAfter.\n")
    return tmp_path


def test_writing_replaces_what_was_written_before_and_nothing_else(lines, documents):
    for _ in range(2):
        command.write(lines, how="so", about="How.", svg="<svg/>")
    for document in (targets.PERFORMANCE, targets.README):
        told = document.read_text()
        assert told.startswith("Before.\n")
        assert told.endswith("\nAfter.\n")
        assert "old" not in told
        assert told.count(targets.TARGETS[0].told) == 1
    assert targets.PERFORMANCE.read_text().count("How.") == 1
    assert "| grimoire | 50 |" in targets.PERFORMANCE.read_text()
    assert command.PICTURE.read_text() == "<svg/>"
    assert (documents / "scaling-conductors.svg").exists()
    assert not (documents / "scaling-history.svg").exists()


def test_a_document_without_a_place_is_refused(documents):
    targets.README.write_text("no place")
    with pytest.raises(ValueError, match="has no place for it"):
        targets.write()


def line_of(target: Target) -> list[str]:
    return [cell.strip() for cell in targets.table([target]).splitlines()[2].strip("|").split("|")]


def test_a_target_is_met_missed_or_not_measured(documents):
    target = Target(told="it", run="web", figure="share", goal=1.2, size=("casts", 100))
    assert line_of(target) == ["it", "≤ 1.20", "not measured", ""]
    for share, casts, told in ((1.19, 100, ["1.19", "met"]), (1234.5, 100, ["1,234", "missed"]), (1.0, 99, ["not measured", ""])):
        measured.keep("web", Outcome(figures={"share": share, "casts": casts}), how="so")
        assert line_of(target)[2:] == told
    at_least = Target(told="it", run="web", figure="share", goal=1, at_most=False, unit="/s")
    assert line_of(at_least) == ["it", "≥ 1/s", "1/s", "met"]
    assert line_of(Target(told="it", run="web", figure="share")) == ["it", "", "1", ""]


def test_of_two_targets_one_is_enough(documents):
    one, other = [target for target in targets.TARGETS if target.either == "web"]
    measured.keep("web", Outcome(figures={one.figure: 100.0, other.figure: 1.5}), how="so")
    assert [line_of(target)[3] for target in (one, other)] == ["the other is met", "met"]
    measured.keep("web", Outcome(figures={one.figure: 100.0, other.figure: 2.5}), how="so")
    assert [line_of(target)[3] for target in (one, other)] == ["missed", "missed"]


def test_a_run_that_ends_keeps_its_figures_and_writes_the_documents(documents, capsys):
    outcome = Outcome(figures={"percent": 1.0}, problems=["Too much."])
    with pytest.raises(SystemExit) as ended:
        runs.finish("idle", outcome, how="so", write=True)
    assert (ended.value.code, capsys.readouterr().out) == (1, "Too much.\n")
    assert "| 1 % | met |" in targets.PERFORMANCE.read_text()
    with pytest.raises(SystemExit) as ended:
        runs.finish("idle", Outcome(figures={"percent": 9.0}), how="so", write=False)
    assert ended.value.code == 0
    assert measured.kept("idle")["figures"] == {"percent": 1.0}


@pytest.mark.parametrize("curve", curves.CURVES, ids=lambda curve: curve.name)
def test_a_curve_has_a_line_with_a_point_for_each_number(curve, documents):
    assert curves.picture(curve) is None
    points = [(0.0, 0.0), (10.0, 3.0), (1000.0, 70.0)]
    measured.keep(curve.run, Outcome(series=dict.fromkeys(curve.lines, points)), how="<so>")
    tree = ET.fromstring(curves.picture(curve))
    space = "{http://www.w3.org/2000/svg}"
    lines = tree.findall(f"{space}polyline")
    assert [len(line.get("points").split()) for line in lines] == [3] * len(curve.lines)
    assert len(tree.findall(f"{space}circle")) == 3 * len(curve.lines)
    heights = [float(text.get("y")) for text in tree.findall(f"{space}text") if text.text in curve.lines.values()]
    assert all(later - earlier >= 15 for earlier, later in pairwise(sorted(heights)))
    places = [tuple(map(float, point.split(","))) for point in lines[0].get("points").split()]
    assert all(curves.LEFT <= x <= curves.WIDTH - curves.RIGHT and curves.TOP <= y <= curves.HEIGHT - curves.BOTTOM for x, y in places)


def test_each_target_and_curve_is_of_a_run_that_is_made():
    made = {program.module for program in everything.PROGRAMS}
    assert {target.run for target in targets.TARGETS} | {curve.run for curve in curves.CURVES} == made


def test_the_documents_say_what_is_kept(documents, monkeypatch):
    monkeypatch.setattr(measured, "FOLDER", ROOT / "docs" / "measured")
    for document, name in ((targets.PERFORMANCE, "docs/performance.md"), (targets.README, "README.md")):
        document.write_text((ROOT / name).read_text())
    targets.write()
    assert targets.PERFORMANCE.read_text() == (ROOT / "docs/performance.md").read_text()
    assert targets.README.read_text() == (ROOT / "README.md").read_text()
    for curve in curves.CURVES:
        svg, kept = curves.picture(curve), ROOT / "docs" / f"{curve.name}.svg"
        assert svg == (kept.read_text() if kept.exists() else None)


def test_the_document_has_a_place_for_the_contest():
    told = targets.PERFORMANCE.read_text()
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


def test_processor_time_is_of_those_processes_that_are_still_there():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert list(processor_seconds([os.getpid(), ended.pid])) == [os.getpid()]
