"""`manage.py cook`, and what it reads from files."""

import io
import json
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from casts.cooks import scheduling
from casts.cooks.documents import MAX_COLUMN_CHARACTERS, MAX_COLUMNS, read_items
from casts.models import Cast, Collection, Cook
from generations.catalogue import sync_tools
from spells.problems import ProblemsError
from tests.casts.factories import ConductorProcessFactory

from .test_cooks import TREE, finish, live, look, spell

pytestmark = pytest.mark.django_db

PLAN = {"name": "Portraits", "spell": "portrait", "inputs": {"prompt": "{{ traits.Hat }}"}, "trait_tree": TREE}


@pytest.fixture(autouse=True)
def ada(db: None) -> User:
    spell()
    ConductorProcessFactory.create()
    return User.objects.create_superuser("olga")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "portraits.json"
    path.write_text(json.dumps(PLAN))
    return str(path)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("cook", *arguments, stdout=out)
    return out.getvalue()


def test_a_cook_begins_from_a_file_and_its_id_is_printed(file):
    told = run("begin", file, "--pieces", "5", "--max-parallel", "2", "--budget", "3", "--on-failure", "stop")
    row = Cook.objects.get(pk=int(told))
    assert (row.wanted, row.max_parallel, row.budget_usd, row.on_failure) == (5, 2, Decimal(3), "stop")
    assert (row.initiator.username, row.collection.name) == ("olga", "Portraits")


def test_a_preview_begins_nothing(file):
    told = run("begin", file, "--pieces", "50", "--preview")
    assert "Crown" in told
    assert "50 pieces of at most 500, expected to cost $0.00" in told
    assert not Collection.objects.exists()


def test_the_example_that_is_shipped_can_be_cooked_to_its_end():
    sync_tools()
    told = run("begin", "lanterns.yaml", "--preview")
    assert "1,000 pieces of at most 10,000" in told
    row = Cook.objects.get(pk=int(run("begin", "lanterns.yaml")))
    assert row.pieces.values("trait_hash").distinct().count() == row.wanted == 1000
    assert Cast.objects.count() == 0


def test_a_list_is_read_from_csv_and_from_json_lines(tmp_path):
    (tmp_path / "plan.yaml").write_text("name: Guests\nspell: portrait\n")
    (tmp_path / "guests.csv").write_text('prompt\na fox\n"an owl, at night"\n')
    (tmp_path / "guests.jsonl").write_text('{"prompt": "a fox"}\n\n{"prompt": "an owl, at night"}\n')
    for name in ("guests.csv", "guests.jsonl"):
        row = Cook.objects.get(pk=int(run("begin", str(tmp_path / "plan.yaml"), "--items", str(tmp_path / name))))
        assert [cast.inputs["prompt"] for cast in live(look(row))] == ["a fox", "an owl, at night"]


def test_it_is_paused_resumed_extended_stopped_and_told(file):
    id_ = run("begin", file, "--pieces", "2").strip()
    assert run("pause", id_, "--reason", "Lunch.") == f"Cook {id_} is paused.\n"
    assert "paused, 0/2 pieces (0 %), $0.00 of about $0.00: Lunch. (Portraits)" in run("status")
    assert run("resume", id_) == f"Cook {id_} is running.\n"
    assert run("extend", id_, "--pieces", "3") == f"Cook {id_} is running.\n"
    assert run("stop", id_) == f"Cook {id_} is stopping.\n"
    assert "0/3 pieces" in run("status", id_)
    with pytest.raises(CommandError, match="cannot be resumed"):
        run("resume", id_)


def test_a_watched_cook_tells_by_its_exit_code_how_it_stands(file):
    row = Cook.objects.get(pk=int(run("begin", file, "--pieces", "1")))
    scheduling.tend(cook_id=row.pk)
    finish(live(row)[0])
    scheduling.tend(cook_id=row.pk)
    with pytest.raises(SystemExit) as ended:
        run("watch", str(row.pk))
    assert ended.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("status", "9"), "There is no cook 9"),
        (("begin", "nowhere.yaml"), "cannot be read"),
        (("begin", "FILE", "--pieces", "501"), "at most 500 different pieces"),
        (("begin", "FILE", "--items", "list.txt"), "is no list"),
        (("begin", "FILE", "--as", "nobody"), "no active user"),
    ],
)
def test_what_cannot_be_done_is_told(file, arguments, told):
    with pytest.raises(CommandError, match=told):
        run(*(file if argument == "FILE" else argument for argument in arguments))
    assert not Collection.objects.exists()


@pytest.mark.parametrize(
    ("text", "form", "path"),
    [
        (b"\xff", "csv", "line 1"),
        (b"a,a\n1,2\n", "csv", "line 1"),
        (b"a,b\n1\n", "csv", "line 2"),
        (b'a\n"1\n', "csv", "line 2"),
        (",".join(f"c{n}" for n in range(MAX_COLUMNS + 1)).encode(), "csv", "line 1"),
        (b"c" * (MAX_COLUMN_CHARACTERS + 1) + b"\n1\n", "csv", "line 1"),
        (b'{"a": 1}\n{"a": }\n', "jsonl", "line 2"),
        (b'{"a": NaN}', "jsonl", "line 1"),
        (b"", "jsonl", "items"),
        (b"1\n" * 10_001, "jsonl", "items"),
        (b"a\n" + b"1\n" * 10_001, "csv", "items"),
    ],
)
def test_what_is_wrong_with_a_list_is_told_with_its_line(text, form, path):
    with pytest.raises(ProblemsError) as refused:
        read_items(text, format=form)
    assert refused.value.problems[0].path == path


def test_a_small_table_whose_names_make_a_large_list_is_refused_before_it_is_read_whole():
    columns = [f"{number:0{MAX_COLUMN_CHARACTERS}d}" for number in range(MAX_COLUMNS)]
    table = [",".join(columns), *["1" + "," * (MAX_COLUMNS - 1)] * 1_000, "a row that is no row"]
    with pytest.raises(ProblemsError, match="are larger than the 8,388,608 bytes") as refused:
        read_items("\n".join(table).encode(), format="csv")
    assert refused.value.problems[0].path == "items"


def test_cells_are_read_as_the_spell_asks():
    schema = {"properties": {"n": {"type": "integer"}, "tags": {"type": "array"}}}
    assert read_items(b'n,tags,name\n7,"[1]",007\n', format="csv", schema=schema) == [{"n": 7, "tags": [1], "name": "007"}]
    with pytest.raises(ProblemsError, match="line 2, n"):
        read_items(b"n\nseven\n", format="csv", schema=schema)
