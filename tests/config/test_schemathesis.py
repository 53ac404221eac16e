"""The API held against its own description by schemathesis: many requests, right and wrong ones, and no surprise."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from django.core import signals
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig

from tests.api import client_of
from tests.casts.factories import (
    CastEventFactory,
    CastFactory,
    CollectionFactory,
    CookFactory,
    DeliveryFactory,
    ExportFactory,
    ExportItemFactory,
    GenerationFactory,
    NotificationFactory,
    PieceAttemptFactory,
    PieceFactory,
    SubscriptionFactory,
    WakeupFactory,
)
from tests.databases import database_under_test
from tests.factories import UserFactory, published

if database_under_test() != "sqlite":
    pytest.skip("asks the API of one database", allow_module_level=True)

SEED = 20261123
NUMBER = 4711
KNOWN = UUID("019a5d0c-61c5-7c0f-9d5e-3f1f6f1c9a10")

# What is right by the description may still be impossible: a spell that is not there, a slug that is taken, or JSON
# beyond what is stored (NUL characters, integers of more than 64 bits), which no schema can say.
MEANT = ["2xx", "304", "400", "403", "404", "406", "409", "422"]
WITH_MEANING = {"include-method": ["POST", "PUT", "PATCH"], "checks": {"positive_data_acceptance": {"expected-statuses": MEANT}}}
# Three operations take a spell document: the limits of its parts are tried with one, `POST /spells/`.
ONE_DOCUMENT = [
    {"include-name": name, "phases": {"coverage": {"enabled": False}}}
    for name in ("POST /api/v1/spells/{slug}/versions/", "PUT /api/v1/spells/{slug}/versions/{number}/")
]
KNOWN_PATHS = [
    {"include-path-regex": "/spells/", "parameters": {"slug": "story", "number": 1}},
    {"include-path-regex": "/tools/", "parameters": {"slug": "test.any"}},
    {"include-path-regex": "/(notifications|webhooks)/", "parameters": {"id": NUMBER, "notification_id": NUMBER}},
    {"include-path-regex": "/(collections|cooks|pieces|exports)/", "parameters": {"id": NUMBER, "piece_id": NUMBER}},
    {"include-path-regex": "/(casts|generations)/", "parameters": {"id": str(KNOWN), "cast_id": str(KNOWN)}},
]

schemathesis.openapi.format("cursor", st.just(""))  # any other is one that a list gave


def loaded(*operations: dict[str, Any], examples: int, limits: bool) -> Any:
    """Return the description with an application behind it.

    `operations` is configuration for some of them, `examples` the number of random requests of each; with `limits`
    each bound of each parameter is tried as well.
    """
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "generation": {"max-examples": examples, "deterministic": True, "database": "none"},
            "operations": [WITH_MEANING, *operations],
            "phases": {"coverage": {"enabled": limits}},
        }
    )
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.app = get_wsgi_application()
    return schema


# The requests are made when the tests are collected, by each worker: it must not take long.
strange, known = loaded(examples=10, limits=False), loaded(*ONE_DOCUMENT, *KNOWN_PATHS, examples=5, limits=True)


# All requests of an operation see what those before them left: that is part of the test.
one_database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Keep the connection, and with it the test's transaction, from being closed around each request."""
    signals.request_started.disconnect(close_old_connections)
    signals.request_finished.disconnect(close_old_connections)
    yield
    signals.request_started.connect(close_old_connections)
    signals.request_finished.connect(close_old_connections)


@pytest.fixture
def key(db: None, one_connection: None) -> str:
    """A key of somebody who has a spell, a cast of it, and a generation, under known names."""
    ada = UserFactory.create()
    version = published(slug="story", owner=ada, visibility="public", inputs={"theme": {"type": "string", "default": "sea"}})
    cast = CastFactory.create(id=KNOWN, version=version, initiator=ada, status="running")
    WakeupFactory.create(cast=cast)
    CastEventFactory.create(cast=cast, actor=ada)
    GenerationFactory.create(id=KNOWN, cast=cast, step=version.steps.get(), status="succeeded")
    cook = CookFactory.create(id=NUMBER, collection=CollectionFactory.create(id=NUMBER, owner=ada))
    attempt = PieceAttemptFactory.create(piece=PieceFactory.create(id=NUMBER, cook=cook, status="made"), status="made")
    ExportItemFactory.create(export=ExportFactory.create(id=NUMBER, cook=cook), attempt=attempt)
    mine = SubscriptionFactory.create(id=NUMBER, owner=ada)
    DeliveryFactory.create(notification=NotificationFactory.create(id=NUMBER, cast=cast, channel="webhook", subscription=mine))
    return client_of(ada).defaults["HTTP_AUTHORIZATION"]


@strange.parametrize()  # type: ignore[untyped-decorator] # schemathesis says nothing of it
@one_database
def test_requests_for_anything_are_answered_as_described(case: Any, key: str) -> None:
    case.call_and_validate(base_url="https://testserver", headers={"Authorization": key})


@known.parametrize()  # type: ignore[untyped-decorator] # likewise
@one_database
def test_requests_for_what_is_there_are_answered_as_described(case: Any, key: str) -> None:
    case.call_and_validate(base_url="https://testserver", headers={"Authorization": key})
