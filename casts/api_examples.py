"""Examples that the API's documentation shows."""

from drf_spectacular.utils import OpenApiExample

from generations.api_examples import CAST_ID, GENERATION_VALUE, REFERENCE_VALUE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the one of the specification
ORDER = OpenApiExample(
    "The latest version of a spell, with a budget",
    value={"spell": "illustrated-story", "inputs": {"theme": "a lighthouse keeper"}, "max_cost_usd": "0.50"},
    request_only=True,
)
ORDER_WITH_CALLBACK = OpenApiExample(
    "With a callback",
    value={
        "spell": "illustrated-story",
        "callback": {"url": "https://shop.example.org/hooks/grimoire", "secret": SECRET, "events": ["cast.succeeded", "cast.failed"]},
    },
    request_only=True,
)
PINNED_ORDER = OpenApiExample("One version of a spell", value={"spell": "illustrated-story@3", "inputs": {}}, request_only=True)
SKIP = OpenApiExample(
    "A picture that was made by hand",
    value={"step": "paint", "item": 2, "output": {"text": "A lighthouse at dusk"}, "reason": "The provider refuses this prompt."},
    request_only=True,
)
WEBHOOK = OpenApiExample("A job that is done", value={"id": "job-7", "status": "succeeded", "output": {"n": 1}}, request_only=True)
RECEIPT = OpenApiExample("The first time", value={"received": True, "repeated": False}, response_only=True)
WEBHOOK_OF_JOB = OpenApiExample(
    "An answer that is ready", value={"id": "evt_1", "type": "response.completed", "data": {"id": "resp_1"}}, request_only=True
)
RECEIPT_OF_JOB = OpenApiExample("The first time", value={"received": True, "repeated": False, "known": True}, response_only=True)
TOOL_ORDER = OpenApiExample("A picture", value={"inputs": {"prompt": "a lighthouse at dusk", "seed": 7}}, request_only=True)

_CAST = {
    "id": CAST_ID,
    "spell": "illustrated-story",
    "version": 3,
    "status": "succeeded",
    "inputs": {"theme": "a lighthouse keeper"},
    "outputs": {"sheet": REFERENCE_VALUE},
    "error": None,
    "reason": "",
    "cost_usd": "0.0123",
    "max_cost_usd": "0.5",
    "progress": {"done": 5, "total": 5, "percent": 100},
    "waiting_for": None,
    "initiator": "ada",
    "idempotency_key": "order-66",
    "callback": None,
    "created_at": "2026-11-23T20:14:02.873Z",
    "started_at": "2026-11-23T20:14:02.901Z",
    "finished_at": "2026-11-23T20:14:06.040Z",
    "deadline_at": "2026-11-24T20:14:02.873Z",
    "cancel_requested_at": None,
    "generations": f"https://grimoire.example.org/api/v1/casts/{CAST_ID}/generations/",
}
CAST = OpenApiExample("A cast that has ended", value=_CAST, response_only=True)
NEW_CAST = OpenApiExample(
    "A new cast",
    value={
        **_CAST,
        "status": "queued",
        "outputs": None,
        "cost_usd": "0",
        "progress": {"done": 0, "total": 3, "percent": 0},
        "waiting_for": None,
        "started_at": None,
        "finished_at": None,
    },
    response_only=True,
)
GENERATION = OpenApiExample("A painted picture", value=GENERATION_VALUE, response_only=True)
EVENT = OpenApiExample(
    "The start",
    value={"id": 4711, "kind": "started", "actor": "ada", "data": {}, "at": "2026-11-23T20:14:02.873Z"},
    response_only=True,
)
STREAM = OpenApiExample(
    "How far a call is, and how the cast stands then",
    value=(
        'event: progress\ndata: {"generation":"019a5d0c-6b11-7e0a-a2f4-5d8b8f3d1c22","step":"art","item":0,"attempt":1,"percent":40,'
        '"stage":"painting","preview":null,"trouble":""}\n\n'
        f'event: status\ndata: {{"id":"{CAST_ID}","status":"running","progress":{{"done":1,"total":5,"percent":24}},"cost_usd":"0.01",'
        '"cancel_requested_at":null,"started_at":"2026-11-23T20:14:02.901Z","finished_at":null}\nid: 4711-9f86d081884c7d65\n\n'
    ),
    response_only=True,
    media_type="text/event-stream",
)
