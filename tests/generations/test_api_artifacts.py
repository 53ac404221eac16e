"""Artefacts over the API: bytes in, bytes out, and nobody else's."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient
from django.utils import timezone

from generations.artifacts import path_of
from generations.downloads import SHOWN_TYPES
from generations.links import ARTIFACTS
from generations.models import Artifact
from generations.uploads import upload
from tests.api import assert_problem, client_of, get, people, post
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


def kept(owner, data=PNG, name="art.png", claimed=""):
    return upload(data=data, name=name, claimed_type=claimed, owner_id=owner.pk, now=timezone.now())


def send(client, *files, **fields):
    return client.post("/api/v1/artifacts/", {"file": list(files) if len(files) != 1 else files[0], **fields})


def file(data=PNG, name="art.png", content_type="application/octet-stream"):
    return SimpleUploadedFile(name, data, content_type)


def body(response):
    """Read the bytes to their end, which closes the file."""
    assert response.status_code in (200, 206), response.content
    return b"".join(response.streaming_content)


def test_an_upload_answers_with_the_reference_that_inputs_take():
    ada = UserFactory.create()
    response = send(client_of(ada), file())
    assert response.status_code == 201
    told = response.json()
    artifact = Artifact.objects.get()
    assert told == {"artifact": str(artifact.pk), "sha256": artifact.sha256, "mime_type": "image/png", "size": len(PNG)}
    assert (artifact.owner, artifact.generation, artifact.name) == (ada, None, "art.png")
    assert response.headers["Location"] == f"https://testserver/api/v1/artifacts/{artifact.pk}/"
    assert body(client_of(ada).get(response.headers["Location"])) == PNG


@pytest.mark.parametrize(
    ("data", "claimed", "mime_type"),
    [
        (PNG, "text/html", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/png", "image/jpeg"),
        (b"hello", "text/plain; charset=utf-8", "text/plain"),
        (b"<html>", "image/png", "application/octet-stream"),
        (b"<html>", "text/html", "text/html"),
        (b"hello", "nonsense", "application/octet-stream"),
        (b"hello", "a/b\r\nX-Evil: 1", "application/octet-stream"),
    ],
)
def test_the_type_of_a_file_is_told_by_its_bytes_before_its_sender(data, claimed, mime_type):
    assert kept(UserFactory.create(), data, claimed=claimed).mime_type == mime_type


@pytest.mark.parametrize(
    ("files", "fields", "path"),
    [
        ((), {}, "file"),
        ((file(b""),), {}, "file"),
        ((file(), file()), {}, "file"),
        ((file(),), {"owner": "1"}, "owner"),
    ],
)
def test_an_upload_that_is_none_is_refused_and_nothing_is_written(files, fields, path):
    assert_problem(send(client_of(UserFactory.create()), *files, **fields), 422, path)
    assert not Artifact.objects.exists()


def test_a_file_that_is_text_is_refused():
    assert_problem(client_of(UserFactory.create()).post("/api/v1/artifacts/", {"file": "text"}), 422, "file")


def test_a_file_above_the_limit_is_refused(settings, artifact_folder: Path):
    settings.GRIMOIRE_MAX_UPLOAD_BYTES = 1000
    assert_problem(send(client_of(UserFactory.create()), file(b"x" * 1001)), 422, "file")
    assert_problem(send(client_of(UserFactory.create()), file(b"x" * 100_000)), 413)
    assert send(client_of(UserFactory.create()), file(b"x" * 1000)).status_code == 201
    assert len([path for path in artifact_folder.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(("content_type", "data"), [("application/json", b"{}"), ("text/plain", b"x")])
def test_an_upload_of_another_form_is_refused(content_type, data):
    assert_problem(client_of(UserFactory.create()).post("/api/v1/artifacts/", data, content_type=content_type), 415)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary=é"])
def test_a_body_that_is_no_form_is_refused(content_type):
    response = client_of(UserFactory.create()).post("/api/v1/artifacts/", b"nonsense", content_type=content_type)
    assert_problem(response, 422 if content_type.endswith("=x") else 400)
    assert not Artifact.objects.exists()


def test_a_form_with_too_many_fields_is_refused():
    assert_problem(send(client_of(UserFactory.create()), file(), **{f"f{n}": "x" for n in range(1001)}), 400)


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
def test_who_may_read_an_artefact(who):
    asking = people()
    stored = kept(asking["owner"])
    response = get(client_of(asking[who]), f"/artifacts/{stored.id}/")
    if who in ("owner", "staff"):
        assert body(response) == PNG
    else:
        assert_problem(response, 401 if who == "anonymous" else 404)


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
def test_who_may_make_a_link(who):
    asking = people()
    stored = kept(asking["owner"])
    response = post(client_of(asking[who]), f"/artifacts/{stored.id}/link/")
    assert response.status_code == {"anonymous": 401, "stranger": 404, "owner": 201, "staff": 201}[who]


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
def test_who_may_upload(who):
    response = send(client_of(people()[who]), file())
    assert response.status_code == (401 if who == "anonymous" else 201)
    assert Artifact.objects.count() == (0 if who == "anonymous" else 1)


def test_bytes_are_served_so_that_a_browser_runs_none_of_them():
    ada = UserFactory.create()
    stored = kept(ada)
    response = get(client_of(ada), f"/artifacts/{stored.id}/", Accept="image/*")
    assert body(response)
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Content-Disposition"] == 'inline; filename="art.png"'
    assert response.headers["Content-Length"] == str(len(PNG))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"].startswith("private")


@pytest.mark.parametrize(
    "mime_type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/pdf", "text/javascript"]
)
def test_what_a_browser_might_run_is_for_saving_only(mime_type):
    ada = UserFactory.create()
    stored = kept(ada, b"<svg onload=alert(1)>", name="x.svg", claimed=mime_type)
    assert stored.mime_type in (mime_type, "application/octet-stream")
    response = get(client_of(ada), f"/artifacts/{stored.id}/")
    assert body(response)
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert mime_type not in SHOWN_TYPES


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", 'inline; filename="{id}.png"'),
        ('a"b.png', 'inline; filename="a\\"b.png"'),
        ("a\r\nX-Evil: 1.png", 'inline; filename="aX-Evil: 1.png"'),
        ("../../etc/x.png", 'inline; filename="....etcx.png"'),
        ("bild ä.png", "inline; filename*=utf-8''bild%20%C3%A4.png"),
        ("\x00\ud800.png", "inline; filename*=utf-8''%EF%BF%BD%EF%BF%BD.png"),
    ],
)
def test_a_name_cannot_leave_its_header(name, shown):
    ada = UserFactory.create()
    stored = kept(ada, name=name)
    response = get(client_of(ada), f"/artifacts/{stored.id}/")
    assert body(response)
    assert response.headers["Content-Disposition"] == shown.format(id=stored.id)


@pytest.mark.parametrize(
    ("given", "status"), [('"{sha}"', 304), ('W/"{sha}"', 304), ("*", 304), ('"other", "{sha}"', 304), ('"other"', 200), ("{sha}", 200)]
)
def test_whoever_has_the_bytes_already_is_not_sent_them_again(given, status):
    ada = UserFactory.create()
    stored = kept(ada)
    response = get(client_of(ada), f"/artifacts/{stored.id}/", If_None_Match=given.format(sha=stored.sha256))
    assert response.status_code == status
    assert response.headers["ETag"] == f'"{stored.sha256}"'
    assert status == 304 or body(response) == PNG


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=3-5", (3, 5)),
        ("bytes=3-", (3, 9)),
        ("Bytes=8-99", (8, 9)),
        ("bytes=-4", (6, 9)),
        ("bytes=-99", (0, 9)),
        ("bytes=9-9", (9, 9)),
    ],
)
def test_a_part_of_the_bytes_is_served(asked, part):
    ada = UserFactory.create()
    stored = kept(ada, b"0123456789")
    response = get(client_of(ada), f"/artifacts/{stored.id}/", Range=asked)
    first, last = part
    assert (response.status_code, body(response)) == (206, b"0123456789"[first : last + 1])
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/10"
    assert response.headers["Content-Length"] == str(last + 1 - first)
    assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=999999999999999999-"])
def test_a_part_that_is_not_there_is_refused_with_the_size(asked):
    ada = UserFactory.create()
    stored = kept(ada, b"0123456789")
    response = get(client_of(ada), f"/artifacts/{stored.id}/", Range=asked)
    assert_problem(response, 416, "Range", name="range-not-satisfiable")
    assert response.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,3-4"},
        {"Range": "bytes=5-3"},
        {"Range": "bytes=-"},
        {"Range": "bytes=x-1"},
        {"Range": "lines=0-1"},
        {"Range": "bytes=" + "9" * 5000 + "-"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
        {"Range": "bytes=0-1", "If-Range": "Wed, 21 Oct 2026 07:28:00 GMT"},
    ],
)
def test_what_is_no_single_part_gets_the_whole(headers):
    ada = UserFactory.create()
    stored = kept(ada, b"0123456789")
    response = get(client_of(ada), f"/artifacts/{stored.id}/", **{name.replace("-", "_"): value for name, value in headers.items()})
    assert (response.status_code, body(response)) == (200, b"0123456789")
    assert "Content-Range" not in response.headers


def test_a_part_of_the_bytes_that_one_knows_is_served():
    ada = UserFactory.create()
    stored = kept(ada, b"0123456789")
    response = get(client_of(ada), f"/artifacts/{stored.id}/", Range="bytes=2-3", If_Range=f'"{stored.sha256}"')
    assert (response.status_code, body(response)) == (206, b"23")


def test_head_tells_the_size_without_the_bytes():
    ada = UserFactory.create()
    stored = kept(ada)
    response = client_of(ada).head(f"/api/v1/artifacts/{stored.id}/")
    assert (response.status_code, response.headers["Content-Length"]) == (200, str(len(PNG)))
    assert body(response) == b""


def test_a_link_works_without_a_key():
    ada = UserFactory.create()
    stored, other = kept(ada), kept(ada, b"other")
    link = post(client_of(ada), f"/artifacts/{stored.id}/link/").json()
    assert link["url"].startswith(f"https://testserver/api/v1/artifacts/{stored.id}/?signature=")
    assert timedelta(minutes=59) < datetime.fromisoformat(link["expires_at"]) - timezone.now() <= timedelta(hours=1)
    assert body(client_of().get(link["url"])) == PNG
    assert_problem(client_of().get(link["url"].replace(str(stored.id), str(other.id))), 403, "signature", name="link-refused")
    assert_problem(client_of().get(link["url"] + "x"), 403, "signature")


@pytest.mark.parametrize(("minutes", "works"), [(59, True), (61, False)])
def test_a_link_works_for_an_hour(minutes, works):
    stored = kept(UserFactory.create())
    signature, _ = ARTIFACTS.sign(id=stored.id, now=timezone.now() - timedelta(minutes=minutes))
    response = get(client_of(), f"/artifacts/{stored.id}/", {"signature": signature})
    if works:
        assert body(response) == PNG
    else:
        assert "has expired" in assert_problem(response, 403, "signature", name="link-refused")["detail"]


@pytest.mark.parametrize("signature", ["", "x", ":", "a:b", "1vN3aB:é", "\x00", "9" * 2000, "🙂:x"])
def test_a_signature_that_is_none_is_refused(signature):
    stored = kept(UserFactory.create())
    assert_problem(get(client_of(), f"/artifacts/{stored.id}/", {"signature": signature}), 403, "signature")


@pytest.mark.parametrize("path", ["/artifacts/nonsense/", "/artifacts/019a5d0c-61c5-7c0f-9d5e-3f1f6f1c9a10/"])
def test_an_artefact_that_is_not_there_is_not_found(path):
    assert_problem(get(client_of(UserFactory.create()), path), 404)
    assert_problem(post(client_of(UserFactory.create()), f"{path}link/"), 404)


def test_bytes_that_the_storage_lost_are_missed_aloud(artifact_folder: Path, caplog):
    ada = UserFactory.create()
    stored = kept(ada)
    (artifact_folder / path_of(stored.sha256)).unlink()
    told = assert_problem(get(client_of(ada), f"/artifacts/{stored.id}/"), 404)
    assert "gone from the storage" in told["detail"]
    assert str(stored.id) in caplog.text
    assert caplog.records[0].levelname == "ERROR"


@pytest.mark.django_db(transaction=True)
def test_bytes_are_streamed_over_asgi():
    ada = UserFactory.create()
    data = bytes(range(256)) * 4096  # several pieces
    stored = kept(ada, data)
    key = client_of(ada).defaults["HTTP_AUTHORIZATION"]

    async def read() -> bytes:
        response: Any = await AsyncClient().get(f"/api/v1/artifacts/{stored.id}/", secure=True, headers={"Authorization": key})
        assert response.is_async
        data = b"".join([piece async for piece in response.streaming_content])
        await sync_to_async(response.close)()
        return data

    assert asyncio.run(read()) == data
