"""Webhooks of providers as they come in: verified, stored, and only then applied, by whoever does errands.

Nothing is stored of what is not its provider's, and nothing of a body is logged.
"""

import asyncio
import hashlib
import inspect
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from django.db import IntegrityError

from casts.doorbell import knock
from casts.engine import sql
from casts.engine.retrying import in_one_statement
from casts.metrics.counters import CALLBACKS
from generations.callback_payloads import BadPayloadError, read_payload
from generations.models import Callback, Generation
from generations.models.callback import CallbackOutcome
from generations.outputs import clean_text
from generations.tools import registry
from generations.tools.contract import Adapter, CallbackRefusedError, Delivery
from spells.models import Tool

logger = logging.getLogger(__name__)

VERIFY_SECONDS = 10.0
MAX_DELIVERY_ID_CHARACTERS = 255
MAX_REASON_CHARACTERS = 200
MAX_JOB_ID_CHARACTERS = 255
# Tools of one adapter whose secrets are tried for a webhook that names no call of ours.
MAX_TOOLS_ASKED = 20

# A verification may have to fetch its provider's keys; one that hangs must not hold a request for ever.
_verifiers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="callback-verifier")


class NoSuchAddressError(Exception):
    """There is no such address for callbacks."""


class DeliveryRefusedError(Exception):
    """The callback is not its provider's: its signature does not hold, or is too old."""


class UnverifiableError(Exception):
    """The callback cannot be verified at present. Send it again later."""

    wait = 30  # in seconds


def take_in(*, adapter_key: str, generation_id: UUID, headers: Mapping[str, str], body: bytes) -> bool:
    """Verify a webhook and store it, for the generation whose signed address it came to. Returns False for a repeat.

    Header names are in lower case. One whose generation is gone is stored unverified, since nobody knows any more how
    to verify it, and never applied.

    Raises:
        DeliveryRefusedError: it is not its provider's.
        UnverifiableError: nobody can tell now.
        BadPayloadError: it is no JSON object.
    """
    try:
        stored = _take_in(adapter_key, generation_id, headers, body)
    except (DeliveryRefusedError, UnverifiableError, BadPayloadError) as error:
        CALLBACKS.labels(adapter_key, _OUTCOMES[type(error)]).inc()
        raise
    CALLBACKS.labels(adapter_key, "stored" if stored else "repeated").inc()
    return stored


def take_in_of_job(*, adapter_key: str, headers: Mapping[str, str], body: bytes) -> bool | None:
    """Verify a webhook that came to the one address of an adapter and store it, for the job that it names.

    Returns False for a repeat, None when it is genuine and names no job of ours: a project has other jobs than those
    that we began, and one whose id we do not know yet will be asked for. Nothing is stored of those.

    Raises:
        NoSuchAddressError: the adapter has no such address.
        DeliveryRefusedError, UnverifiableError, BadPayloadError: as `take_in`.
    """
    job_id = _job_of(adapter_key, body)
    named = Generation.objects.filter(tool__adapter=adapter_key, job_id=job_id).order_by("-pk") if job_id else Generation.objects.none()
    generation_id = named.values_list("pk", flat=True).first()
    if generation_id is not None:
        return take_in(adapter_key=adapter_key, generation_id=generation_id, headers=headers, body=body)
    outcome = "foreign"
    try:
        _verify_by_any(adapter_key, headers, body)
    except (DeliveryRefusedError, UnverifiableError) as error:
        outcome = _OUTCOMES[type(error)]
        raise
    finally:
        CALLBACKS.labels(adapter_key, outcome).inc()
    logger.info("A callback for %s names no job of ours", adapter_key)
    return None


def _job_of(adapter_key: str, body: bytes) -> str:
    try:
        adapter = registry.get(adapter_key)
    except registry.AdapterNotFound as error:
        raise NoSuchAddressError(NoSuchAddressError.__doc__) from error
    if type(adapter).job_of_callback is Adapter.job_of_callback:
        raise NoSuchAddressError(NoSuchAddressError.__doc__)
    return clean_text(adapter.job_of_callback(read_payload(body)))[:MAX_JOB_ID_CHARACTERS]


def _verify_by_any(adapter_key: str, headers: Mapping[str, str], body: bytes) -> None:
    """Check a webhook that names no call of ours by the secret of any tool of its adapter."""
    tools = list(Tool.objects.filter(adapter=adapter_key).order_by("pk")[:MAX_TOOLS_ASKED])
    if not tools:
        raise DeliveryRefusedError(DeliveryRefusedError.__doc__)
    for tool in tools:
        try:
            verify(adapter_key, Delivery(tool=tool.slug, config=tool.config, headers=headers, body=body))
        except DeliveryRefusedError:
            if tool is tools[-1]:
                raise
        else:
            return


_OUTCOMES = {DeliveryRefusedError: "refused", UnverifiableError: "unverifiable", BadPayloadError: "malformed"}


def _take_in(adapter_key: str, generation_id: UUID, headers: Mapping[str, str], body: bytes) -> bool:
    cast_id, delivery_id = None, ""
    for cast, tool, config in sql.fetch(_called(), {"id": sql.id_parameter(generation_id)}):  # one, or none
        cast_id = sql.uuid_of(cast)
        delivery_id = verify(adapter_key, Delivery(tool=tool, config=sql.json_of(config), headers=headers, body=body))
    payload = read_payload(body)
    callback = {
        "adapter": adapter_key,
        "addressed_to": generation_id,
        "delivery_id": _kept_id(delivery_id, body),
        "payload": payload or {},
        "is_complete": payload is not None,
    }
    try:
        is_new = _store(callback)
    except IntegrityError:
        is_new, cast_id = _store(callback), None  # its generation went in this moment: an orphan, then
    if is_new and cast_id is not None:
        knock(errand=Callback)
    return is_new


def _called() -> str:
    """Return SQL for the cast of a generation, and the slug and the configuration of the tool that made it."""
    return """
        SELECT made.cast_id, tool.slug, tool.config
        FROM generations_generation AS made
        JOIN spells_step AS step ON step.id = made.step_id
        JOIN spells_tool AS tool ON tool.id = step.tool_id
        WHERE made.id = %(id)s
        """


def verify(adapter_key: str, delivery: Delivery) -> str:
    """Return the sender's id of a delivery that is its provider's. Touches no database.

    Raises:
        DeliveryRefusedError: it is not.
        UnverifiableError: the adapter is gone, its provider's keys cannot be had, or it is broken.
    """
    try:
        adapter = registry.get(adapter_key)
        if getattr(adapter.verify_callback, "__func__", None) is Adapter.verify_callback:
            return ""  # it has nothing to ask of what was sent, and needs no thread for that
        delivery_id = _verifiers.submit(_ask, adapter, delivery).result(timeout=VERIFY_SECONDS)
    except CallbackRefusedError as error:
        logger.warning("A callback for %s is refused: %s", delivery.tool, clean_text(str(error))[:MAX_REASON_CHARACTERS])
        raise DeliveryRefusedError(DeliveryRefusedError.__doc__) from error
    except Exception as error:  # whatever the adapter raises: its provider sends again
        logger.exception("A callback for %s cannot be verified", delivery.tool)
        raise UnverifiableError(UnverifiableError.__doc__) from error
    return delivery_id if isinstance(delivery_id, str) else ""


def _ask(adapter: Adapter, delivery: Delivery) -> object:
    if inspect.iscoroutinefunction(adapter.verify_callback):
        return asyncio.run(asyncio.wait_for(adapter.verify_callback(delivery), VERIFY_SECONDS))
    return adapter.verify_callback(delivery)


def _kept_id(delivery_id: str, body: bytes) -> str:
    """Return by what a repeat is known: the sender's id, or a hash of what does not fit or of the body."""
    cleaned = clean_text(delivery_id)
    if 0 < len(cleaned) <= MAX_DELIVERY_ID_CHARACTERS:
        return cleaned
    return "sha256:" + hashlib.sha256(cleaned.encode() or body).hexdigest()


@in_one_statement
def _store(callback: sql.Row) -> bool:
    """Write a callback that was not there. Without its generation it is an orphan."""
    return bool(sql.fetch(_storing(), {"rows": sql.rows_parameter([callback])}))


def _storing() -> str:
    """Return SQL that stores a callback, due at once, and returns a row unless it is a repeat."""
    columns = {"adapter": "text", "addressed_to": "uuid", "delivery_id": "text", "payload": "jsonb", "is_complete": "boolean"}
    told = ", ".join(f"told.{column}" for column in columns)
    return f"""
        WITH clock AS MATERIALIZED (SELECT grimoire_now() AS at)
        INSERT INTO generations_callback ({", ".join(columns)}, generation_id, outcome, due_at, applied_at, received_at, attempts, said)
        SELECT {told}, made.id,
            CASE WHEN made.id IS NULL THEN '{CallbackOutcome.ORPHANED}' ELSE '{CallbackOutcome.RECEIVED}' END,
            CASE WHEN made.id IS NULL THEN NULL ELSE clock.at END, CASE WHEN made.id IS NULL THEN clock.at END, clock.at, 0, ''
        FROM {sql.recordset("told", columns)} CROSS JOIN clock
        LEFT JOIN generations_generation AS made ON made.id = told.addressed_to
        WHERE true ON CONFLICT (addressed_to, delivery_id) DO NOTHING RETURNING 1
        """  # noqa: S608 - our own words; every value is a parameter
