import json
import re
import signal
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from tests.functional.site import Site
from tests.processes import wait_for

PICTURE = re.compile(r"^\S+ +(/\S+\.png)$", re.MULTILINE)


def pictures_of(said: str) -> list[Path]:
    return [Path(found) for found in PICTURE.findall(said)]


@pytest.mark.sqlite
def test_demo_shows_a_cast_and_its_pictures_and_then_another(empty_site: Site):
    said = empty_site.run("demo", "--once", "--port", "0")
    assert "The cast succeeded" in said
    assert re.search(r"^sheet \(image\.contact_sheet\): succeeded, 1/1, ", said, re.MULTILINE)
    password = re.search(r"sign in as +admin with the password (\S+)", said)
    assert password
    assert len(password[1]) >= 12
    pictures = pictures_of(said)
    assert len(pictures) == 4
    for path in pictures:
        assert empty_site.folder in path.parents
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert picture.width >= 500
    assert empty_site.processes() == []

    again = empty_site.run("demo", "--once", "--port", "0", "--theme", "a fox in the snow", "--seed", "3")
    assert "illustrated-story@1" in again  # the same version
    assert "manage.py changepassword admin" in again
    assert "fox" in again
    assert pictures_of(again)[0].read_bytes() != pictures[0].read_bytes()


@pytest.mark.sqlite
def test_demo_with_providers_pays_a_fake_one_and_leaves_the_tools_of_the_site_alone(site: Site):
    before = site.run("redirect_tools", "--check", "http://127.0.0.1", "http://127.0.0.1:1")
    said = site.run("demo", "--providers", "--once", "--port", "0", "--theme", "a lost robot")
    assert "The cast succeeded" in said
    assert re.search(r"^art \(replicate\.flux-schnell\): succeeded, 3/3, .*\$0\.0", said, re.MULTILINE)
    assert len(pictures_of(said)) == 4
    booked = [Decimal(found) for found in re.findall(r"^The cast succeeded \(.* s, \$(\S+)\)\.$", said, re.MULTILINE)]
    bill = re.search(r"^the bill +(\S+) ", said, re.MULTILINE)
    assert bill
    calls = [json.loads(line) for line in Path(bill[1]).read_text().splitlines()]
    assert len(calls) == 4
    assert abs(sum(Decimal(call["usd"]) for call in calls) - booked[0]) < Decimal("0.0002"), "as rounded for the terminal"
    assert site.run("redirect_tools", "--check", "http://127.0.0.1", "http://127.0.0.1:1") == before
    assert site.processes() == []
    assert "takes no seed" in site.run("demo", "--providers", "--seed", "3", code=1)


@pytest.mark.sqlite
def test_demo_serves_until_ctrl_c_and_leaves_no_process(site: Site):
    showing = site.start("demo", "--port", "0")
    admin = showing.says(r"the admin +(http://\S+)/admin/")
    showing.says(r"sign in as")
    site.url = admin[1]
    assert site.get("casts/")["results"][0]["status"] == "succeeded"  # it still serves
    showing.tell(signal.SIGINT)
    assert showing.end() == 0, showing.said()
    assert site.processes() == []


@pytest.mark.sqlite
def test_ctrl_c_in_the_middle_of_the_cast_leaves_no_process(site: Site):
    showing = site.start("demo", "--port", "0")
    showing.says(r"started cast")
    showing.tell(signal.SIGINT)
    assert showing.end() == 130, showing.said()
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
    site.run("shell", "--no-imports", "-c", "from django.contrib.auth.models import User; User.objects.update(is_superuser=False)")
    said = site.run("demo", "--once", "--port", "0", code=1)
    assert "There is a user 'admin' who is no active superuser." in said
    assert "Traceback" not in said
    assert site.processes() == []
