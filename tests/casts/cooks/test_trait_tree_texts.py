"""Trait trees as text, for clients and at the terminal."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from casts.cooks.interchange import from_csv, to_csv, to_json
from casts.cooks.traits import read_tree
from tests.api import assert_problem, client_of, get, people, post
from tests.casts.factories import CollectionFactory
from tests.factories import UserFactory

from .trees import SAILORS, sailors


@pytest.mark.django_db
def test_a_sheet_is_read_as_json_and_json_as_a_sheet():
    client = client_of(UserFactory.create())
    told = post(client, "/trait-trees/", {"csv": to_csv(sailors())}).json()
    assert read_tree(told["trait_tree"]) == sailors()
    assert told["supply"] == 500
    assert from_csv(post(client, "/trait-trees/", {"trait_tree": SAILORS}).json()["csv"]) == sailors()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"csv": "category,value,weight\nSea,Calm,often"}, "line 2, weight"),
        ({"trait_tree": {"categories": []}}, "categories"),
        ({"csv": "", "trait_tree": {}}, ""),
        ({}, ""),
        ({"csv": 5}, "csv"),
    ],
)
def test_what_is_no_tree_is_refused_with_its_place(body, place):
    assert_problem(post(client_of(UserFactory.create()), "/trait-trees/", body), 422, place)


@pytest.mark.django_db
@pytest.mark.parametrize(("who", "status"), [("anonymous", 401), ("stranger", 404), ("owner", 200), ("staff", 200)])
def test_the_tree_of_a_collection_is_told_to_its_owner_and_the_staff(who: str, status: int):
    crowd = people()
    tree = CollectionFactory.create(owner=crowd["owner"], trait_tree=SAILORS)
    of_a_list = CollectionFactory.create(owner=crowd["owner"])
    client = client_of(crowd[who])
    told = get(client, f"/collections/{tree.pk}/trait-tree/")
    assert told.status_code == status
    assert status != 200 or from_csv(told.json()["csv"]) == sailors()
    assert get(client, f"/collections/{of_a_list.pk}/trait-tree/").status_code == {200: 404}.get(status, status)


def test_the_command_writes_a_tree_and_tells_how_many_pieces_it_has(tmp_path: Path):
    sheet, document = tmp_path / "sailors.CSV", tmp_path / "sailors.json"
    sheet.write_text(to_csv(sailors()), newline="")
    document.write_text(to_json(sailors()))
    out, beside = StringIO(), StringIO()
    call_command("trait_tree", str(sheet), stdout=out, stderr=beside)
    assert read_tree(json.loads(out.getvalue())) == sailors()
    assert "500 pieces at most." in beside.getvalue()
    out = StringIO()
    call_command("trait_tree", str(document), "--to", "csv", stdout=out, stderr=beside)
    assert from_csv(out.getvalue()) == sailors()


def test_the_command_says_what_is_wrong_and_where(tmp_path: Path):
    sheet = tmp_path / "a.csv"
    sheet.write_text("category,value,weight\nSea,Calm,often")
    with pytest.raises(CommandError, match="line 2, weight: 'often' is no number"):
        call_command("trait_tree", str(sheet))
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("trait_tree", str(tmp_path / "none.csv"))
