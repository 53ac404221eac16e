"""The audit, line by line, beside the tests, constraints and functions that it names."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from django.apps import apps

from tests.constraints import APPS, declared

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "audit.md"

EXPECTED = [
    *("A 1.1.1", "A 1.1.2", "A 1.1.3", "A 1.2.1", "A 1.2.2", "A 1.2.3"),
    *("A 2.1.1", "A 2.1.2", "A 2.1.3", "A 2.2.1", "A 2.2.2", "A 2.2.3"),
    *("A 3.1.1", "A 3.1.2", "A 3.1.3", "A 3.1.4", "A 3.1.5", "A 3.1.6", "A 3.2.1", "A 3.2.2", "A 3.2.3"),
    *("A 4.1.1", "A 4.1.2", "A 4.1.3"),
    *("A 5.1.1", "A 5.1.2", "A 5.2.1", "A 5.2.2"),
    *("A 6.1.1", "A 6.1.2", "A 6.1.3", "A 6.1.4", "A 6.1.5", "A 6.1.6", "A 6.2.1", "A 6.2.2", "A 6.2.3"),
    *("A 7.1.1", "A 7.1.2", "A 7.1.3", "A 7.2.1", "A 7.2.2"),
    *("A 8.1", "A 8.2", "A 8.3", "A 8.4"),
    *("A 9.1.1", "A 9.1.2", "A 9.1.3", "A 9.1.4", "A 9.1.5", "A 9.2.1", "A 9.2.2", "A 9.2.3", "A 9.2.4", "A 9.3.1", "A 9.3.2", "A 9.3.3"),
    *("A 10.1", "A 10.2", "A 10.3", "A 10.4", "A 10.5"),
    *("L 1", "L 2", "L 3.1", "L 3.2", "L 3.3", "L 4.1", "L 4.2", "L 5.1", "L 5.2", "L 6.1", "L 6.2", "L 7"),
    *("L 8.1", "L 8.2", "L 8.3", "L 8.4", "L 8.5", "L 9.1", "L 9.2", "L 10"),
    *("L 11.1", "L 11.2", "L 11.3", "L 11.4", "L 11.5", "L 11.6", "L 12", "L 13", "L 14.1", "L 14.2", "L 14.3", "L 15.1", "L 15.2"),
    *("L 16.1", "L 16.2", "L 16.3", "L 17", "L 18.1", "L 18.2", "L 18.3"),
    *("L 19.1", "L 19.2", "L 19.3", "L 19.4", "L 19.5", "L 19.6"),
    *("L 20.1", "L 20.2", "L 20.3", "L 20.4", "L 20.5", "L 20.6"),
    *(f"W {number}" for number in range(1, 17)),
]
# What no test can show yet, by what it waits for.
WAITING = {
    "Waits for accounts": {"W 12"},
}

_ROW = re.compile(r"^\| ([ALW] [\d.]+) \| (.+?) \| (.+?) \|(.*)\|$", re.MULTILINE)
_NAME = re.compile(r"`([\w./-]+)::([\w.]+)`")
_WORD = re.compile(r"`([a-z]+_[a-z_]+)`")
_LINK = re.compile(r"\]\(([\w./-]+)\)")


def rows() -> dict[str, tuple[str, str]]:
    """Return what each line says, and by which tests it is shown."""
    return {id_: (f"{told} {why}", shown) for id_, told, why, shown in _ROW.findall(DOCUMENT.read_text())}


def named() -> Iterator[tuple[str, str, str]]:
    """Yield each line with each place in the code, or test, that it names."""
    for id_, cells in rows().items():
        for path, name in _NAME.findall(" ".join(cells)):
            yield id_, path, name


@cache
def defined_in(path: str) -> dict[str, ast.AST]:
    """Return the functions and classes of a file by name, methods as `Class.method`."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}": each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def is_skipped(test: ast.AST) -> bool:
    """Tell whether a test never runs."""
    marks = (each.func if isinstance(each, ast.Call) else each for each in getattr(test, "decorator_list", ()))
    return "pytest.mark.skip" in {ast.unparse(mark) for mark in marks}


def test_each_finding_has_its_line_once():
    assert [id_ for id_, *_ in _ROW.findall(DOCUMENT.read_text())] == EXPECTED
    assert len(re.findall(r"^\| [ALW] ", DOCUMENT.read_text(), re.MULTILINE)) == len(EXPECTED), "each line has its three columns"


def test_what_a_line_names_is_there():
    assert [(id_, path) for id_, path, _ in named() if not (ROOT / path).is_file()] == []
    assert [(id_, f"{path}::{name}") for id_, path, name in named() if name not in defined_in(path)] == []


def test_each_line_is_shown_by_tests_that_run_but_for_what_waits():
    waiting = {id_ for ids in WAITING.values() for id_ in ids}
    for id_, (_, shown) in rows().items():
        tests = _NAME.findall(shown)
        assert bool(tests) != (id_ in waiting), id_
        assert _NAME.sub("", shown).strip(" ,") == "", f"{id_} is shown by something that is no test"
        for path, name in tests:
            assert path.startswith("tests/"), f"{id_}: {path}"
            assert Path(path).name.startswith("test_"), f"{id_}: {path}"
            assert name.startswith("test_"), f"{id_}: {name}"
            assert not is_skipped(defined_in(path)[name]), f"{id_}: {name} is skipped"


def test_what_is_not_shown_yet_says_why():
    told = rows()
    for reason, ids in WAITING.items():
        assert [id_ for id_ in sorted(ids) if reason not in told[id_][0]] == []


def test_each_constraint_that_a_line_names_is_one_of_the_models():
    models = {model._meta.model_name for app in APPS for model in apps.get_app_config(app).get_models()}
    words = {word for word in _WORD.findall(DOCUMENT.read_text()) if word.partition("_")[0] in models}
    assert words
    assert words <= set(declared())


def test_each_link_leads_somewhere():
    links = _LINK.findall(DOCUMENT.read_text())
    assert links
    assert [link for link in links if not (DOCUMENT.parent / link).is_file()] == []
