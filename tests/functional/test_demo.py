import json
import re
import shutil
import signal
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from tests.functional.site import Site, client
from tests.processes import wait_for

PICTURE = re.compile(r"^\S+ +(/\S+\.png)$", re.MULTILINE)


def pictures_of(said: str) -> list[Path]:
    return [Path(found) for found in PICTURE.findall(said)]


@pytest.mark.lasting
@pytest.mark.sqlite
def test_demo_shows_a_cast_and_serves_until_ctrl_c_which_can_also_come_in_the_middle_of_another(empty_site: Site):
    showing = empty_site.start("demo", "--port", "0", by_fork=False)
    password = showing.says(r"sign in as +admin with the password (\S+)")
    said = showing.said()
    assert "The cast succeeded" in said
    assert re.search(r"^sheet \(image\.contact_sheet\): succeeded, 1/1, ", said, re.MULTILINE)
    assert len(password[1]) >= 12
    pictures = pictures_of(said)
    assert len(pictures) == 4
    for path in pictures:
        assert empty_site.folder in path.parents
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert picture.width >= 500
    admin = re.search(r"the admin +(http://\S+/admin/)", said)
    assert admin
    assert client().get(f"{admin[1]}login/").status_code == 200  # it still serves
    showing.tell(signal.SIGINT)
    assert showing.end() == 0, showing.said()
    assert empty_site.processes() == []

    empty_site.sql("UPDATE auth_user SET username = 'somebody'")
    again = empty_site.start("demo", "--port", "0", "--theme", "a fox in the snow", "--seed", "3")
    again.says(r"started cast \S+ of illustrated-story@1\.")  # the same version
    again.tell(signal.SIGINT)
    assert again.end() == 130, again.said()
    assert re.search(r"sign in as +admin with the password \S{12,}", again.said()), "there is a new one, whose password is not lost"
    assert empty_site.processes() == []
    [*_, (inputs,)] = empty_site.sql("SELECT inputs FROM casts_cast ORDER BY created_at")
    assert json.loads(inputs) == {"theme": "a fox in the snow", "seed": 3, "count": 3}


@pytest.mark.sqlite
def test_demo_with_providers_pays_a_fake_one_and_leaves_the_tools_of_the_site_alone(site: Site):
    tools = site.sql("SELECT * FROM spells_tool")
    own = site.folder / "demo-providers"
    own.mkdir()
    shutil.copy(site.folder / "grimoire.sqlite3", own)  # it has been here before
    said = site.run("demo", "--providers", "--once", "--port", "0", "--theme", "a lost robot")
    assert "picture-book@1" in said
    assert "The cast succeeded" in said
    assert re.search(r"^art \(replicate\.flux-schnell\): succeeded, 3/3, .*\$0\.0", said, re.MULTILINE)
    assert "robot" in said
    assert "manage.py changepassword admin" in said
    assert len(pictures_of(said)) == 4
    booked = [Decimal(found) for found in re.findall(r"^The cast succeeded \(.* s, \$(\S+)\)\.$", said, re.MULTILINE)]
    bill = re.search(r"^the bill +(\S+) ", said, re.MULTILINE)
    assert bill
    calls = [json.loads(line) for line in Path(bill[1]).read_text().splitlines()]
    assert len(calls) == 4
    assert abs(sum(Decimal(call["usd"]) for call in calls) - booked[0]) < Decimal("0.0002"), "as rounded for the terminal"
    assert site.sql("SELECT * FROM spells_tool") == tools
    assert site.processes() == []


@pytest.mark.sqlite
def test_a_kill_of_demo_leaves_no_process(site: Site):
    showing = site.start("demo", "--port", "0")
    showing.says(r"Starting the web server")
    showing.tell(signal.SIGKILL)
    showing.end()
    wait_for("its processes died with it", lambda: site.processes() == [])


@pytest.mark.sqlite
def test_demo_refuses_what_stands_in_its_way_in_words(site: Site):
    site.sql("UPDATE auth_user SET is_superuser = FALSE")
    said = site.run("demo", "--once", "--port", "0", code=1)
    assert "There is a user 'admin' who is no active superuser." in said
    assert "Traceback" not in said
    assert site.processes() == []
