"""The first page, and the index of the API."""

import re

import pytest
from django.contrib.staticfiles import finders

from tests.api import ApiClient, assert_problem, client_of, get
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_the_first_page_leads_on_and_loads_nothing_from_elsewhere():
    response = ApiClient().get("/")
    assert response.status_code == 200
    text = response.content.decode()
    addresses = re.findall(r'(?:href|src)="([^"]+)"', text)
    assert {"/admin/", "/api/v1/docs/", "/api/v1/", "/readyz"} <= set(addresses)
    for address in addresses:
        if address.startswith("/static/"):
            assert finders.find(address.removeprefix("/static/")), address
        else:
            assert ApiClient().get(address).status_code in (200, 302), address
    assert ApiClient().post("/").status_code == 405


def test_the_index_leads_to_each_collection():
    index = get(ApiClient(), "/").json()
    collections = ["spells", "tools", "casts", "collections", "cooks", "pieces", "exports", "generations", "notifications", "webhooks"]
    assert list(index) == [*collections, "schema", "docs"]
    client = client_of(UserFactory.create())
    for address in index.values():
        assert client.get(address, headers={"Accept": "*/*"}).status_code == 200, address


def test_the_index_is_for_reading():
    assert_problem(client_of(UserFactory.create()).post("/api/v1/"), 405)
    assert_problem(get(ApiClient(), "/nowhere/"), 404)
