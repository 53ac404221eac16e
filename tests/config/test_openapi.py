"""The API's description: complete, valid, and told from our own files."""

import json
import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, FormatChecker

from tests.api import ApiClient, get


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    reset_generator_stats()
    with GENERATOR_STATS.silence():
        made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS
    return made


def operations(document):
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_description_is_valid_and_made_without_a_warning(document):
    validate_schema(document)
    assert document["openapi"] == "3.1.0"


def test_every_route_of_the_design_is_described(document):
    described = operations(document)
    assert set(described) >= {
        "GET /casts/",
        "POST /casts/",
        "GET /casts/{id}/",
        "POST /casts/{id}/cancel/",
        "POST /casts/{id}/pause/",
        "POST /casts/{id}/resume/",
        "POST /casts/{id}/retry/",
        "GET /casts/{cast_id}/generations/",
        "GET /casts/{cast_id}/events/",
        "POST /casts/{cast_id}/events/link/",
        "GET /collections/",
        "POST /collections/",
        "POST /collections/preview/",
        "GET /collections/{id}/",
        "POST /collections/{id}/preview/",
        "GET /cooks/",
        "POST /cooks/",
        "GET /cooks/{id}/",
        "POST /cooks/{id}/pause/",
        "POST /cooks/{id}/resume/",
        "POST /cooks/{id}/stop/",
        "POST /cooks/{id}/extend/",
        "GET /cooks/{id}/events/",
        "POST /cooks/{id}/events/link/",
        "GET /pieces/",
        "GET /pieces/{id}/",
        "POST /pieces/{id}/regenerate/",
        "GET /spells/",
        "POST /spells/",
        "GET /spells/{slug}/",
        "PUT /spells/{slug}/",
        "PATCH /spells/{slug}/",
        "POST /spells/{slug}/publish/",
        "GET /spells/{slug}/versions/",
        "POST /spells/{slug}/versions/",
        "GET /spells/{slug}/versions/{number}/",
        "PUT /spells/{slug}/versions/{number}/",
        "POST /spells/validate/",
        "GET /tools/",
        "GET /tools/{slug}/",
        "POST /tools/{slug}/run/",
        "GET /generations/",
        "GET /generations/{id}/",
        "POST /artifacts/",
        "GET /artifacts/{artifact_id}/",
        "POST /artifacts/{artifact_id}/link/",
        "GET /notifications/",
        "POST /notifications/read/",
        "GET /notifications/email/",
        "PUT /notifications/email/",
        "GET /notifications/{id}/",
        "POST /notifications/{id}/read/",
        "POST /notifications/{id}/resend/",
        "GET /notifications/{notification_id}/deliveries/",
        "GET /webhooks/",
        "POST /webhooks/",
        "GET /webhooks/{id}/",
        "PATCH /webhooks/{id}/",
        "DELETE /webhooks/{id}/",
        "POST /webhooks/{id}/enable/",
        "POST /webhooks/{id}/disable/",
        "POST /webhooks/{id}/rotate/",
        "POST /webhooks/{id}/test/",
    }


def test_every_operation_says_what_it_does_and_what_can_go_wrong(document):
    for name, operation in operations(document).items():
        assert operation["summary"], name
        assert len(operation["tags"]) == 1, name
        problems = {status: response for status, response in operation["responses"].items() if status >= "400"}
        assert "400" in problems, name
        assert "401" in problems, name
        assert all(response["$ref"].endswith(f"Problem{status}") for status, response in problems.items()), name


def contents(document):
    for name, operation in operations(document).items():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            yield name, media
        for response in operation["responses"].values():
            for media in response.get("content", {}).values():
                yield name, media


def test_every_body_but_bytes_and_files_has_an_example_that_fits(document):
    lacking = set()
    for name, media in contents(document):
        schema = {**media["schema"], "components": document["components"]}
        examples = [example["value"] for example in media.get("examples", {}).values()]
        if not examples and schema.get("format") != "binary" and schema.get("properties") and "file" not in schema["properties"]:
            lacking.add(name)
        if isinstance(media["schema"].get("$ref"), str) and not examples:
            lacking.add(name)
        for example in examples:
            errors = [error.message for error in Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(example)]
            assert not errors, (name, errors)
    assert lacking == set()


def test_problems_are_described_with_an_example_that_fits(document):
    problems = document["components"]["responses"]
    assert {"400", "404", "422"} <= {
        str(response["content"]["application/problem+json"]["example"]["status"]) for response in problems.values()
    }
    for response in problems.values():
        media = response["content"]["application/problem+json"]
        schema = {**document["components"]["schemas"]["Problem"]}
        Draft202012Validator(schema).validate(media["example"])


def test_a_key_is_asked_for_wherever_it_is_needed(document):
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    open_to_all = {name for name, operation in operations(document).items() if {} in operation["security"]}
    assert open_to_all == {
        "GET /spells/",
        "GET /spells/{slug}/",
        "GET /spells/{slug}/versions/",
        "GET /spells/{slug}/versions/{number}/",
        "GET /artifacts/{artifact_id}/",
        "POST /callbacks/{adapter}/",
        "POST /callbacks/{adapter}/{signed_id}/",
        "GET /casts/{cast_id}/events/",
        "GET /cooks/{id}/events/",
    }


@pytest.mark.parametrize(("accept", "content_type"), [("*/*", "application/vnd.oai.openapi"), ("application/json", "application/json")])
def test_the_description_is_served(accept, content_type):
    response = get(ApiClient(), "/schema/", Accept=accept)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(content_type)
    if content_type == "application/json":
        assert json.loads(response.content)["info"]["title"] == "Grimoire"


def test_the_documentation_loads_nothing_from_elsewhere():
    page = get(ApiClient(), "/docs/").content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    for address in addresses:
        assert address.startswith("/static/")
        assert finders.find(address.removeprefix("/static/")), address
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
