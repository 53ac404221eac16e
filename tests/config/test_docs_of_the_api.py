"""The guide to the API: each of its lines is run as it stands."""

import re
import shlex
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from config.problems import INTERNAL, INVALID, KINDS, MALFORMED, NOT_FOUND, TOO_LARGE
from generations.catalogue import sync_tools
from generations.uploads import upload
from spells.documents import parse, save_draft
from spells.publishing import publish
from tests.api import ApiClient, client_of
from tests.casts import scenes
from tests.casts.scenes import Hand
from tests.factories import UserFactory

GUIDE = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()
EXAMPLES = Path(settings.BASE_DIR) / "spells" / "examples"
PNG = b"\x89PNG\r\n\x1a\n"


def curl_lines() -> list[list[str]]:
    """Return the words of each curl line of the guide."""
    blocks = "".join(re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line) for line in blocks.splitlines() if line.startswith("curl ")]


def parser() -> ArgumentParser:
    reader = ArgumentParser()
    reader.add_argument("-N", action="store_true")  # unbuffered
    reader.add_argument("-H", dest="headers", action="append", default=[])
    reader.add_argument("-X", dest="method")
    reader.add_argument("-d", dest="data")
    reader.add_argument("--data-binary", dest="file")
    reader.add_argument("-F", dest="form")
    reader.add_argument("-o", dest="out")
    reader.add_argument("url")
    return reader


class Shell:
    """Runs curl lines in process. `names` are its variables, `files` what `@` names."""

    def __init__(self, client: ApiClient, names: dict[str, str], files: dict[str, bytes]) -> None:
        self.key = client.defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
        self.names = {"KEY": self.key, "API": "https://testserver/api/v1", **names}
        self.files = files

    def run(self, words: list[str]) -> Any:
        """Return the answer to one line."""
        said = parser().parse_args([re.sub(r"\$([A-Z]+)", lambda name: self.names[name[1]], word) for word in words[1:]])
        headers = dict(header.split(": ", 1) for header in said.headers)
        content_type = headers.pop("Content-Type", "application/json")
        url = urlsplit(said.url)
        data: Any = self.files[said.file.removeprefix("@")] if said.file else said.data or b""
        if said.form:
            name, _, file = said.form.partition("=@")
            response = ApiClient().post(url.path, {name: SimpleUploadedFile(file, self.files[file])}, headers=headers)
        else:
            method = said.method or ("POST" if data else "GET")
            query = f"?{url.query}" if url.query else ""
            response = ApiClient().generic(method, f"{url.path}{query}", data, content_type=content_type, headers=headers)
        self.remember(url.path, response)
        return response

    def remember(self, path: str, response: Any) -> None:
        """Keep the cast that was started as $CAST, and the webhook that was added as $WEBHOOK."""
        name = {"/api/v1/casts/": "CAST", "/api/v1/webhooks/": "WEBHOOK"}.get(path)
        if name is not None and response.status_code == 201:
            self.names[name] = str(response.json()["id"])


def failed_cast() -> str:
    """A cast whose step `paint` failed at its third item. Returns its id."""
    hand = Hand(scenes.cast({"key": "paint", "for_each": "{{ [1, 2, 3] }}", "params": {"n": "{{ item }}"}}))
    hand.look()
    hand.answer_all({("paint", 2): scenes.refusal(permanent=True), ("paint", 0): {}, ("paint", 1): {}})
    assert hand.status() == "failed"
    return str(hand.cast.pk)


def key_of_an_operator() -> str:
    olga = UserFactory.create(is_staff=True)
    olga.user_permissions.add(Permission.objects.get(codename="change_cast"))
    return str(client_of(olga).defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer "))


@pytest.mark.django_db
def test_each_line_of_the_guide_works_as_it_stands(monkeypatch):
    monkeypatch.setattr("casts.headers.MAX_WAIT_SECONDS", 0)  # nobody conducts here
    sync_tools()
    ada = UserFactory.create(username="ada")
    document = parse((EXAMPLES / "illustrated-story.yaml").read_bytes(), format="yaml")
    publish(version_id=save_draft(document=document, owner=ada, now=timezone.now()).pk, now=timezone.now())
    stored = upload(data=PNG, name="picture.png", claimed_type="", owner_id=ada.pk, now=timezone.now())
    files = {"picture.png": PNG, "spell.yaml": (EXAMPLES / "haiku-card.yaml").read_bytes()}
    names = {"ARTIFACT": str(stored.id), "FAILED": failed_cast(), "OPERATOR": key_of_an_operator()}
    shell = Shell(client_of(ada), names, files)
    lines = curl_lines()
    assert len(lines) > 15
    for words in lines:
        response = shell.run(words)
        assert not response.streaming or b"".join(response.streaming_content) == PNG
        assert response.status_code in (200, 201), (words, response.content)


def test_the_guide_names_every_kind_of_problem():
    table = GUIDE[GUIDE.index("## When something is wrong") :]
    for kind in {*KINDS.values(), INTERNAL, INVALID, MALFORMED, NOT_FOUND, TOO_LARGE}:
        rows = [line for line in table.splitlines() if line.startswith(f"| {kind.status} |")]
        assert any(f"`{kind.name}`" in row for row in rows), kind
