"""The API held against its own description by schemathesis: many requests, right and wrong ones, and no surprise."""

from collections.abc import Iterator
from dataclasses import dataclass
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
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.python._constants.orchestrator import make_constants_value_source

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
from tests.factories import UserFactory, published

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


DESCRIPTION: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
OPERATIONS = sorted(f"{method.upper()} {path}" for path, methods in DESCRIPTION["paths"].items() for method in methods)
OF_ONE_THING = [name for name in OPERATIONS if "{" in name]
OF_NONE = [name for name in OPERATIONS if "{" not in name]


@dataclass(frozen=True)
class Loaded:
    """The description of the API, and the constants of our code, which are read once."""

    schema: Any
    feedback: FeedbackSources


def loaded(*operations: dict[str, Any], examples: int, limits: bool) -> Loaded:
    """Return the description of the API with the application behind it.

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
    schema = schemathesis.openapi.from_dict(DESCRIPTION, config=config)
    schema.app = get_wsgi_application()
    return Loaded(schema, FeedbackSources(constants_value_source=make_constants_value_source(schema)))


@pytest.fixture(scope="session")
def strange() -> Loaded:
    return loaded(examples=10, limits=False)


@pytest.fixture(scope="session")
def known() -> Loaded:
    return loaded(*ONE_DOCUMENT, *KNOWN_PATHS, examples=5, limits=True)


@pytest.fixture(scope="session")
def unnamed() -> Loaded:
    return loaded(examples=10, limits=True)


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


def ask(description: Loaded, name: str, key: str) -> None:
    """Make the requests to an operation, now that its turn has come.

    `schema.parametrize()` makes those to all operations when tests are collected: each worker would take as long as for half the tests.
    """

    def send(case: Any) -> None:
        case.call_and_validate(base_url="https://testserver", headers={"Authorization": key})

    schema = description.schema
    method, path = name.split()
    load_all_checks()
    build_operation_test(
        config=schema.config,
        operation=schema[path][method],
        test_func=send,
        given_kwargs={},
        feedback=description.feedback,
        explicit_settings=one_database,
    )()


@pytest.mark.parametrize("name", OF_ONE_THING)
def test_requests_for_anything_are_answered_as_described(name: str, strange: Loaded, key: str) -> None:
    ask(strange, name, key)


@pytest.mark.parametrize("name", OF_NONE)
def test_requests_that_name_nothing_are_answered_as_described(name: str, unnamed: Loaded, key: str) -> None:
    ask(unnamed, name, key)


@pytest.mark.parametrize("name", OF_ONE_THING)
def test_requests_for_what_is_there_are_answered_as_described(name: str, known: Loaded, key: str) -> None:
    ask(known, name, key)
