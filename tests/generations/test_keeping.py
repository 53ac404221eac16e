"""What calls made is kept: against a real server on this machine."""

import asyncio
import base64
import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from generations import artifacts, keeping, remote_files
from generations.artifacts import Incoming, Workbench, open_stored, store
from generations.embedded import NotEmbedded, read_data_uri
from generations.tools.contract import Adapter, Cost, Progress, RemoteFile, Request, Result, ToolError
from generations.tools.provider_api import provider_schema
from generations.unfetched import Unfetched

from .toolbox import picture
from .website import Page, website

PNG = picture(width=8, height=8)
NOISE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 64
COST = Cost(usd=Decimal("0.04"))


class Provider(Adapter):
    key = "test.provider"
    config_schema = provider_schema({}, base_url="https://provider.test/v1", api_key_env="")

    def file_headers(self, request):
        return {"Authorization": "Bearer secret-key"}

    def file_prefixes(self, request):
        return (f"{request.config.get('base_url', 'https://provider.test')}/files/",)


@pytest.fixture
def site():
    with website() as server:
        yield server


@pytest.fixture
def elsewhere():
    with website("127.0.0.2") as server:
        yield server


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(remote_files, "FIRST_WAIT_SECONDS", 0.01)


OPEN = {"allow_private_addresses": True}


def request_with(config: dict[str, Any] | None = None) -> Request:
    return Request(
        tool="test.provider", config=OPEN if config is None else config, pricing={}, inputs={}, generation_id=uuid7(), cast_id=uuid7(),
        attempt=1, idempotency_key=uuid7(), timeout_seconds=30, workbench=Workbench(),
    )  # fmt: skip


def keep(answer: Any, request: Request | None = None, *, seconds: float = 30) -> Any:
    return asyncio.run(keeping.keep(answer, request=request or request_with(), adapter=Provider(), seconds=seconds))


def kept(output: Any, request: Request | None = None) -> dict[str, Any]:
    result = keep(Result(output=output, cost=COST), request)
    assert isinstance(result, Result), result
    assert result.cost == COST
    return dict(result.output)


def refused(output: Any, request: Request | None = None, *, code: str = "output_not_kept") -> str:
    """Keep an output that never can be, and return why. Where its files are is not forgotten."""
    told = keep(Result(output=output, cost=COST), request)
    assert isinstance(told, ToolError | Unfetched)
    error = told.error if isinstance(told, Unfetched) else told
    assert (error.code, error.permanent, told.cost) == (code, True, COST)
    return error.message


def missing(output: Any, request: Request | None = None, *, seconds: float = 30) -> Unfetched:
    """Keep an output whose files cannot be had now, and return what is left of it."""
    told = keep(Result(output=output, cost=COST), request, seconds=seconds)
    assert isinstance(told, Unfetched), told
    assert (told.error.code, told.error.permanent, told.cost) == ("output_not_kept", False, COST)
    return told


def again(left: Unfetched, config: dict[str, Any] | None = None) -> Any:
    """Try again to fetch what is left, as its row brings it back."""
    request = replace(request_with(config), unfetched=json.loads(json.dumps(left.left)))
    return asyncio.run(keeping.keep_rest(request=request, adapter=Provider(), seconds=30))


def bytes_of(reference: dict[str, Any]) -> bytes:
    with open_stored(reference["sha256"]) as file:
        return file.read()


def stored_files(folder) -> list[Any]:
    return [path for path in folder.rglob("*") if path.is_file()]


# Remote files


@pytest.mark.parametrize("size", [10, 100_000])
def test_what_is_kept_is_clean_whatever_the_adapter_says_that_it_cost(size):
    told = keep(Result(output={"text": "x" * size, "pair": (1, 2)}, cost=Cost(usd=Decimal("NaN"), basis={"a": 1})))
    assert isinstance(told, Result)
    assert told.cost is None
    assert told.output["pair"] == [1, 2]
    shown = keep(Progress(percent=math.inf, stage="half\0way"))
    assert (shown.percent, shown.stage) == (None, "half\N{REPLACEMENT CHARACTER}way")
    refused = keep(Result(output={"text": "x" * size, "bad": object()}, cost=Cost(usd=Decimal(-1))))
    assert (refused.code, refused.cost) == ("bad_output", None)


def test_files_anywhere_in_an_output_are_fetched_and_references_stand_in_their_places(site):
    first, second = site.put("/a.png", PNG), site.put("/deep/b.txt", b"hello", headers={"Content-Type": "text/plain; charset=utf-8"})
    request = request_with()
    output = kept({"image": RemoteFile(url=first), "more": [{"file": RemoteFile(url=second, name="note.txt")}, 1]}, request)
    assert bytes_of(output["image"]) == PNG
    assert output["image"] == {**output["image"], "mime_type": "image/png", "size": len(PNG), "source_url": first}
    assert output["more"] == [{"file": {**output["more"][0]["file"], "mime_type": "text/plain", "source_url": second}}, 1]
    assert {made.name for made in request.workbench.made} == {"a.png", "note.txt"}
    assert {made.source_url for made in request.workbench.made} == {first, second}


def test_a_file_that_stands_twice_is_fetched_once(site):
    url = site.put("/a.png", PNG)
    output = kept({"image": RemoteFile(url=url), "images": [RemoteFile(url=url)]})
    assert output["images"] == [output["image"]]
    assert len(site.seen) == 1


@pytest.mark.parametrize(
    ("claimed", "told", "expected"),
    [
        ("image/png", "", "application/octet-stream"),
        ("", "model/obj", "model/obj"),
        ("binary/octet-stream", "text/csv", "binary/octet-stream"),
        ("text/html", "image/png", "text/html"),
    ],
)
def test_the_type_is_by_first_bytes_then_as_the_server_says_then_as_the_provider_does(site, claimed, told, expected):
    url = site.put("/file", b"v 1 2 3", headers={"Content-Type": claimed})
    assert kept({"file": RemoteFile(url=url, mime_type=told)})["file"]["mime_type"] == expected


def test_a_type_that_the_tool_does_not_want_is_refused(site):
    config = {**OPEN, "output_types": ["image/*"]}
    assert kept({"image": RemoteFile(url=site.put("/a", PNG))}, request_with(config))["image"]["size"] == len(PNG)
    page = site.put("/b", b"<h1>Sorry</h1>", headers={"Content-Type": "text/html"})
    assert "is text/html, not image/*" in refused({"image": RemoteFile(url=page)}, request_with(config))


def test_large_files_pass_through_the_disk_and_nothing_else_stays_there(site, artifact_folder, monkeypatch):
    monkeypatch.setattr(remote_files, "BLOCK_BYTES", 1000)
    data = NOISE * 20
    output = kept({"image": RemoteFile(url=site.put("/large.png", data))})
    assert bytes_of(output["image"]) == data
    assert [path.name for path in stored_files(artifact_folder)] == [output["image"]["sha256"]]


@pytest.mark.parametrize("headers", [{}, {"Content-Length": ""}])
def test_a_file_above_the_limit_is_refused_and_leaves_nothing(site, artifact_folder, headers):
    url = site.put("/large", b"x" * 5000, headers=headers)
    site.pages["/large?signature=secret"] = site.pages["/large"]
    message = refused({"file": RemoteFile(url=f"{url}?signature=secret")}, request_with({**OPEN, "max_output_bytes": 4999}))
    assert message == f"The output {url} could not be fetched: The answer is larger than 4999 bytes."
    assert stored_files(artifact_folder) == []


def test_all_files_together_are_bounded(site, monkeypatch):
    monkeypatch.setattr(remote_files, "MAX_TOTAL_BYTES", 5000)
    urls = [site.put(f"/{number}", bytes([number]) * 2000) for number in range(3)]
    assert "larger than 5000 bytes together" in refused({"files": [RemoteFile(url=url) for url in urls]})


def test_a_try_that_failed_does_not_count_into_the_sum(site, monkeypatch):
    monkeypatch.setattr(remote_files, "MAX_TOTAL_BYTES", 5000)
    url = site.put("/file", b"x" * 4000, before=[Page(body=b"x" * 4000, cut_short=True)])
    assert kept({"file": RemoteFile(url=url)})["file"]["size"] == 4000


def test_files_without_number_are_refused_before_the_first_is_fetched(site):
    files = [RemoteFile(url=site.url(f"/{number}")) for number in range(201)]
    assert "201 files in the output; at most 200" in refused({"files": files})
    assert site.seen == []


@pytest.mark.parametrize(
    "failure", [Page(status=503), Page(status=429, headers={"Retry-After": "0"}), Page(drop=True), Page(cut_short=True, body=b"x")]
)
def test_what_may_pass_is_tried_again(site, failure):
    url = site.put("/a.png", PNG, before=[failure, failure, failure])
    assert bytes_of(kept({"image": RemoteFile(url=url)})["image"]) == PNG
    assert len(site.seen) == 4


def test_after_four_tries_it_is_left_for_later(site):
    url = site.put("/a.png", {"error": "the disk is on fire"}, status=503)
    message = missing({"image": RemoteFile(url=f"{url}")}).error.message
    assert message.startswith(f"The output {url} could not be fetched: 127.0.0.1 answered 503")
    assert "the disk is on fire" in message
    assert message.endswith("It was tried 4 times.")
    assert len(site.seen) == 4


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_will_not_pass_is_not_tried_again(site, status):
    refused({"image": RemoteFile(url=site.put("/gone", b"", status=status))})
    assert len(site.seen) == 1


def test_a_provider_that_asks_for_more_time_than_there_is_is_not_waited_for(site):
    url = site.put("/a.png", b"", status=429, headers={"Retry-After": "3000"})
    left = missing({"image": RemoteFile(url=url)})
    assert "429" in left.error.message
    assert left.error.retry_after == 3000
    assert len(site.seen) == 1


def test_a_file_that_does_not_come_in_time_is_left_for_later(site, monkeypatch):
    monkeypatch.setattr(keeping, "LEAST_SECONDS", 0.3)
    url = site.put("/slow", b"", hang=True)
    assert "did not answer in time" in missing({"file": RemoteFile(url=url)}, seconds=0.1).error.message


def test_one_that_cannot_be_had_stops_the_others_and_none_is_forgotten(site):
    bad, slow = site.put("/bad", b"", status=404), site.put("/slow", b"", hang=True)
    told = keep(Result(output={"files": [RemoteFile(url=slow, name="s"), RemoteFile(url=bad)]}, cost=COST))
    assert "/bad" in told.error.message
    assert told.error.permanent
    assert [(file["at"], file["url"], file["name"]) for file in told.left["files"]] == [(["files", 0], slow, "s"), (["files", 1], bad, "")]


def test_what_is_left_is_fetched_later_and_what_is_here_is_not_fetched_again(site):
    here = site.put("/here.png", PNG)
    away = site.put("/away.txt", b"late", headers={"Content-Type": "text/plain"}, before=[Page(status=503) for _ in range(16)])
    request = request_with()
    output = {
        "n": 1,
        "image": RemoteFile(url=here),
        "deep": [{"files": [RemoteFile(url=away, name="note.txt")]}],
        "again": RemoteFile(url=away),
    }
    left = missing(output, request)
    assert bytes_of(left.left["output"]["image"]) == PNG
    assert left.left["output"]["deep"] == [{"files": [None]}]
    assert left.left["files"] == [
        {"at": ["deep", 0, "files", 0], "url": away, "name": "note.txt", "mime_type": ""},
        {"at": ["again"], "url": away, "name": "", "mime_type": ""},
    ]
    assert [made.source_url for made in request.workbench.made] == [here]
    left = again(left)
    assert isinstance(left, Unfetched)
    assert left.cost is None  # it was told before
    result = again(left)
    assert isinstance(result, Result), result
    assert bytes_of(result.output["deep"][0]["files"][0]) == bytes_of(result.output["again"]) == b"late"
    assert (result.output["n"], result.output["image"]["source_url"]) == (1, here)
    assert [seen.path for seen in site.seen].count("/here.png") == 1


def test_all_files_together_are_bounded_over_all_tries(site, monkeypatch):
    monkeypatch.setattr(remote_files, "MAX_TOTAL_BYTES", 5000)
    first = site.put("/1", b"1" * 3000)
    second = site.put("/2", b"2" * 3000, before=[Page(status=503) for _ in range(4)])
    left = missing({"files": [RemoteFile(url=first), RemoteFile(url=second)]})
    told = again(left)
    assert (told.error.permanent, "larger than 5000 bytes together" in told.error.message) == (True, True)


def test_what_is_left_of_a_large_output_fits_into_a_row(site, settings):
    settings.LARGE_VALUE_BYTES = 10_000
    url = site.put("/a.png", PNG, before=[Page(status=503) for _ in range(4)])
    left = missing({"text": "word " * 1_000_000, "image": RemoteFile(url=url)})
    assert left.left["output"]["text"]["size"] == 5_000_000
    result = again(left)
    assert bytes_of(result.output["image"]) == PNG
    assert result.output["text"] == left.left["output"]["text"]


def test_what_does_not_fit_into_a_row_is_given_up_but_for_the_addresses(site):
    url = site.put("/a.png", b"", status=503)
    told = keep(Result(output={"made": ["word " * 1_000_000, RemoteFile(url=url)]}, cost=COST))
    assert (told.error.permanent, told.left["output"]) == (True, {})
    assert told.left["files"] == [{"at": ["made", 1], "url": url, "name": "", "mime_type": ""}]


class Locked(Provider):
    def file_headers(self, request):
        raise ToolError("No key.", code="secret_missing", permanent=True)


def test_files_whose_key_is_missing_here_are_left_for_somebody_who_has_it(site):
    result = Result(output={"image": RemoteFile(url=site.put("/a.png", PNG))}, cost=COST)
    told = asyncio.run(keeping.keep(result, request=request_with(), adapter=Locked(), seconds=30))
    assert isinstance(told, Unfetched)
    assert (told.error.code, told.error.permanent, told.cost) == ("secret_missing", False, COST)
    again_told = asyncio.run(keeping.keep_rest(request=replace(request_with(), unfetched=told.left), adapter=Locked(), seconds=30))
    assert isinstance(again_told, Unfetched)
    assert (again_told.left, again_told.error.permanent) == (told.left, False)
    assert bytes_of(again(told).output["image"]) == PNG


@pytest.mark.parametrize(
    "url", ["ftp://example.org/a", "http:///a", "file:///etc/passwd", "http://user:hunter2@example.org/", "no url", "http://[", "x" * 9000]
)
def test_an_address_that_cannot_be_called_is_refused(url):
    message = refused({"file": RemoteFile(url=url)})
    assert "hunter2" not in message
    assert len(message) < 500


# Addresses and keys


def test_private_addresses_are_refused(site):
    assert "not on the public internet" in refused({"file": RemoteFile(url=site.put("/a", b"x"))}, request_with({}))
    assert site.seen == []


def test_the_providers_own_address_may_be_private_and_gets_the_key_where_its_files_are(site):
    urls = [site.put(path, path.encode()) for path in ("/api/files/a", "/api/jobs", "/a", "/api/files%2e/a", "/api/files/%2e%2e/jobs")]
    output = kept({"files": [RemoteFile(url=url) for url in urls]}, request_with({"base_url": site.url("/api")}))
    assert [bytes_of(file) for file in output["files"]] == [url.removeprefix(site.url("")).encode() for url in urls]
    assert {seen.path for seen in site.seen if "authorization" in seen.headers} == {"/api/files/a"}


def test_no_redirect_takes_the_key_away_from_the_files(site):
    site.put("/api/files/a", status=302, headers={"Location": "/api/secrets"})
    site.put("/api/files/b", status=302, headers={"Location": "/api/files/c"})
    site.put("/api/secrets", b"x")
    site.put("/api/files/c", b"x")
    kept(
        {"a": RemoteFile(url=site.url("/api/files/a")), "b": RemoteFile(url=site.url("/api/files/b"))},
        request_with({"base_url": site.url("/api")}),
    )
    assert {seen.path for seen in site.seen if "authorization" in seen.headers} == {"/api/files/a", "/api/files/b", "/api/files/c"}


class Careless(Adapter):
    """Has a key, and does not say where files want it."""

    key = "test.careless"
    config_schema = provider_schema({}, base_url="https://provider.test/v1", api_key_env="")

    def file_headers(self, request):
        return {"Authorization": "Bearer secret-key"}


def test_without_a_word_on_where_files_are_no_key_goes_with_them(site):
    result = Result(output={"file": RemoteFile(url=site.put("/a", b"x"))})
    kept = asyncio.run(keeping.keep(result, request=request_with({"base_url": site.url()}), adapter=Careless(), seconds=10))
    assert isinstance(kept, Result)
    assert "authorization" not in site.seen[0].headers


def test_a_redirect_from_the_provider_to_another_private_address_is_refused(site, elsewhere):
    target = elsewhere.put("/secret", b"x").replace("127.0.0.1", "127.0.0.2")
    url = site.put("/a", status=302, headers={"Location": target})
    assert "not on the public internet" in refused({"file": RemoteFile(url=url)}, request_with({"base_url": site.url("/api")}))
    assert elsewhere.seen == []


def test_the_key_goes_to_no_other_origin(site, elsewhere):
    target = elsewhere.put("/api/files/b", b"x").replace("127.0.0.1", "127.0.0.2")
    url = site.put("/api/files/a", status=302, headers={"Location": target})
    request = request_with({**OPEN, "base_url": site.url("/api")})
    kept({"moved": RemoteFile(url=url), "there": RemoteFile(url=target)}, request)
    assert len(elsewhere.seen) == 2
    assert all("authorization" not in seen.headers for seen in elsewhere.seen)


def test_another_port_of_the_providers_machine_is_another_place(site):
    with website() as other:
        url = other.put("/a", b"x")
        assert "not on the public internet" in refused({"file": RemoteFile(url=url)}, request_with({"base_url": site.url()}))
        assert other.seen == []


# Files inside the JSON


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_uri(data: bytes, mime_type: str = "image/png") -> str:
    return f"data:{mime_type};base64,{as_base64(data)}"


def test_data_uris_of_remote_files_are_decoded():
    output = kept(
        {
            "image": RemoteFile(url=as_uri(PNG)),
            "text": RemoteFile(url="data:,hello%20there"),
            "x": RemoteFile(url="DATA:text/csv;charset=utf-8,a"),
        }
    )
    assert bytes_of(output["image"]) == PNG
    assert "source_url" not in output["image"]
    assert (bytes_of(output["text"]), output["text"]["mime_type"]) == (b"hello there", "text/plain")
    assert output["x"]["mime_type"] == "text/csv"


@pytest.mark.parametrize(
    "uri", ["data:", "data:image/png;base64", "data:image/png;base64,%%%", "data:image/png;base64,AAA", "data:;base64,AA\n==", "data:,é"]
)
def test_data_uris_are_read_strictly(uri):
    with pytest.raises(NotEmbedded):
        read_data_uri(uri)
    assert "data: URI that cannot be read" in refused({"file": RemoteFile(url=uri)})


def test_the_limits_hold_for_data_uris():
    config = {"max_output_bytes": 10, "output_types": ["image/*"]}
    assert "larger than 10 bytes" in refused({"file": RemoteFile(url=as_uri(PNG))}, request_with(config))
    assert "is text/plain, not image/*" in refused({"file": RemoteFile(url="data:,x")}, request_with(config))


@pytest.mark.parametrize("text", [as_uri(NOISE), as_base64(NOISE)])
def test_long_texts_that_are_files_become_artefacts(text):
    request = request_with()
    output = kept({"data": [{"b64_json": text}]}, request)
    assert bytes_of(output["data"][0]["b64_json"]) == NOISE
    assert output["data"][0]["b64_json"]["mime_type"] == "image/png"
    assert len(request.workbench.made) == 1


@pytest.mark.parametrize(
    "text", ["x" * 9000, "data: " + "words " * 2000, as_base64(NOISE)[:-1], as_base64(b"plain " * 2000), as_base64(PNG), as_uri(PNG)]
)
def test_other_texts_stay_as_they_are(text):
    assert kept({"text": text}) == {"text": text}


def test_countless_files_inside_the_json_are_refused():
    assert "more than 200 files" in refused({"data": [as_base64(NOISE)] * 201})


# Large values


def test_a_large_value_becomes_an_artefact_with_a_preview_and_the_small_ones_stay(settings):
    settings.LARGE_VALUE_BYTES = 10_000
    rows = [{"name": f"é{number}"} for number in range(2000)]
    output = kept({"rows": rows, "text": "ö" * 20_000, "count": 2000})
    assert output["count"] == 2000
    assert json.loads(bytes_of(output["rows"])) == rows
    assert (output["rows"]["mime_type"], output["text"]["mime_type"]) == ("application/json", "text/plain")
    assert output["rows"]["preview"].startswith('[{"name":"é0"},')
    assert output["text"]["preview"] == "ö" * 500
    assert bytes_of(output["text"]).decode() == "ö" * 20_000


def test_the_largest_go_first_when_all_together_are_too_large():
    output = kept({str(number): "x" * (200_000 + number) for number in range(6)})
    assert [name for name, value in output.items() if isinstance(value, dict)] == ["5"]


def test_an_output_of_countless_small_values_is_kept_as_a_whole():
    made = {f"key{number}": number for number in range(100_000)}
    output = kept(made)
    assert list(output) == ["output"]
    assert json.loads(bytes_of(output["output"])) == made


def test_an_output_of_50_megabytes_is_kept_and_the_loop_goes_on_meanwhile():
    async def beside() -> tuple[Any, int]:
        ticks = 0
        task = asyncio.create_task(
            keeping.keep(Result(output={"text": "word " * 10_000_000, "ok": True}), request=request_with(), adapter=Provider(), seconds=30)
        )
        while not task.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return task.result(), ticks

    result, ticks = asyncio.run(beside())
    assert (result.output["text"]["size"], result.output["ok"]) == (50_000_000, True)
    assert ticks > 5


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (["x" * 9000, math.nan], r"output.value[1] is nan"),
        ("x" * 9000 + "\0", "contains a NUL"),
        ("x" * 9000 + "\ud800", "half of a surrogate pair"),
        ([b"x" * 9000], "is of type bytes"),
        ("x" * 3_000_000, "is larger than 2000000 bytes"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_cost(value, told):
    message = refused({"value": value}, request_with({**OPEN, "max_output_bytes": 2_000_000}), code="bad_output")
    assert told in message


def test_deep_nesting_is_refused():
    deep: Any = "x" * 9000
    for _ in range(10_000):
        deep = [deep]
    assert "nested deeper" in refused({"value": deep}, code="bad_output")


# Previews


def test_the_preview_of_unfinished_work_is_kept(site):
    request = request_with()
    progress = keep(Progress(percent=40, preview=RemoteFile(url=site.put("/p.png", PNG))), request)
    assert bytes_of(progress.preview) == PNG
    assert (progress.percent, len(request.workbench.made)) == (40, 1)


def test_a_preview_that_cannot_be_had_is_left_out(site, caplog):
    progress = keep(Progress(percent=40, preview=RemoteFile(url=site.put("/p.png", PNG, status=500))))
    assert (progress.percent, progress.preview) == (40, None)
    assert "is left out" in caplog.text
    assert len(site.seen) == 1


# Storage


def test_a_storage_that_fails_is_told_with_what_the_call_cost(artifact_folder):
    artifact_folder.write_text("in the way")
    assert "cannot be stored" in refused({"file": as_base64(NOISE)})


def test_files_that_cannot_be_stored_now_are_fetched_once_they_can(site, artifact_folder):
    artifact_folder.write_text("in the way")
    left = missing({"file": RemoteFile(url=site.put("/a", b"x"))})
    assert "it cannot be stored" in left.error.message
    assert isinstance(again(left), Unfetched)
    artifact_folder.unlink()
    assert bytes_of(again(left).output["file"]) == b"x"


def test_bytes_that_are_not_kept_leave_nothing(artifact_folder):
    with Incoming() as incoming:
        incoming.write(b"half of it")
        assert len(stored_files(artifact_folder)) == 1
    assert stored_files(artifact_folder) == []


def test_bytes_that_somebody_brings_at_the_same_time_are_stored_once(artifact_folder, monkeypatch):
    store(b"same", mime_type="text/plain")
    looked: list[Path] = []

    def not_there_yet(path: Path) -> bool:
        looked.append(path)
        return False

    monkeypatch.setattr(artifacts, "touch", not_there_yet)
    again = store(b"same", mime_type="text/plain")
    assert looked == [artifact_folder / artifacts.path_of(again.sha256)]
    assert [path.name for path in stored_files(artifact_folder)] == [again.sha256]


def test_nothing_is_done_for_small_outputs(monkeypatch):
    monkeypatch.setattr(asyncio, "to_thread", lambda *_: pytest.fail("a thread was asked for"))
    assert kept({"text": "small"}) == {"text": "small"}
