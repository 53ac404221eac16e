"""Addresses with and without our key: what is below a prefix, whatever a server on the way makes of it."""

import httpx2
import pytest

from generations.tools.file_places import is_below

FILES = "https://api.test/v1/files/"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.test/v1/files/a",
        "https://api.test:443/v1/files/a/b.png?x=../y",
        "HTTPS://API.TEST/v1/files/a",
        "https://api.test/v1/./files/a",
        "https://api.test/v1/jobs/../files/a",
        "https://api.test/v1/files/50%25.png",
        "https://api.test/v1/files/..a/a..",
    ],
)
def test_what_is_below_a_prefix(url):
    assert is_below(httpx2.URL(url), [FILES])


@pytest.mark.parametrize(
    "url",
    [
        "https://api.test/v1/files",
        "https://api.test/v1/filesystem/a",
        "https://api.test/v1/jobs",
        "https://api.test/",
        "http://api.test/v1/files/a",
        "https://api.test:8443/v1/files/a",
        "https://other.test/v1/files/a",
        "https://api.test@other.test/v1/files/a",
        "https://api.test/V1/FILES/a",
        "https://api.test/v1/f%69les/a",
        "https://api.test/v1/files/../jobs",
        "https://api.test/v1/files/%2e%2e/jobs",
        "https://api.test/v1/files/.%2E/jobs",
        "https://api.test/v1/files/..%2fjobs",
        "https://api.test/v1/files/..%5cjobs",
        "https://api.test/v1/files/..\\jobs",
        "https://api.test/v1/files/..;/jobs",
        "https://api.test/v1/files/..;x=y/jobs",
        "https://api.test/v1/files/%252e%252e/jobs",
        "https://api.test/v1/files/%25252e%25252e%25252fjobs",
        "https://api.test/v1/files/a/%2e%2e/%2e%2e/jobs",
    ],
)
def test_what_is_not(url):
    assert not is_below(httpx2.URL(url), [FILES])


def test_without_prefixes_nothing_is_below():
    assert not is_below(httpx2.URL(f"{FILES}a"), [])
    assert is_below(httpx2.URL("https://api.test/file=/tmp/a"), [FILES, "https://api.test/file="])
    assert is_below(httpx2.URL("https://api.test/view?name=a"), ["https://api.test/view?"])
    assert not is_below(httpx2.URL("https://api.test/view_all?name=a"), ["https://api.test/view?"])
