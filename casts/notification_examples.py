"""Examples of notifications and webhooks that the API's documentation shows."""

from drf_spectacular.utils import OpenApiExample

from casts.api_examples import SECRET as SECRET_VALUE
from generations.api_examples import CAST_ID

URL = "https://shop.example.org/hooks/grimoire"

_IN_INBOX = {
    "id": 812,
    "kind": "cast.failed",
    "summary": "illustrated-story failed: The model is overloaded.",
    "cast": CAST_ID,
    "cook": None,
    "generation": None,
    "round": 0,
    "channel": "inbox",
    "target": "",
    "webhook": None,
    "message_id": "",
    "data": {
        "status": "failed",
        "finished_at": "2026-11-23T20:14:06.040Z",
        "error": {
            "code": "overloaded",
            "message": "The model is overloaded.",
            "step": "art",
            "item": 0,
            "attempt": 3,
            "provider": "fal.run",
        },
        "reason": "",
        "outputs": None,
    },
    "status": "delivered",
    "tries": 0,
    "due_at": None,
    "said": "",
    "created_at": "2026-11-23T20:14:06.040Z",
    "delivered_at": "2026-11-23T20:14:06.040Z",
    "given_up_at": None,
    "read_at": None,
}
_PENDING = {
    **_IN_INBOX,
    "id": 813,
    "channel": "webhook",
    "target": URL,
    "webhook": 7,
    "message_id": "msg_019a5d0c7be27d318b5f0c4de1f0a2b7",
    "status": "pending",
    "tries": 0,
    "due_at": "2026-11-23T20:19:06.040Z",
    "delivered_at": None,
}
IN_INBOX = OpenApiExample("A failure, in the inbox", value=_IN_INBOX, response_only=True)
PENDING = OpenApiExample("A message on its way", value=_PENDING, response_only=True)
READ = OpenApiExample("Three messages", value={"read": 3}, response_only=True)
DELIVERY = OpenApiExample(
    "A receiver in trouble",
    value={
        "id": 91,
        "at": "2026-11-23T20:14:06.052Z",
        "seconds": 0.21,
        "address": URL,
        "succeeded": False,
        "status_code": 503,
        "answer": "down for maintenance",
        "error": "It answered 503.",
    },
    response_only=True,
)
MAIL = OpenApiExample("What needs me", value={"events": ["cast.failed", "cast.waiting"]}, request_only=True)
MAIL_SETTINGS = OpenApiExample(
    "What needs me", value={"address": "ada@example.org", "events": ["cast.failed", "cast.waiting"]}, response_only=True
)
_WEBHOOK = {
    "id": 7,
    "url": URL,
    "events": ["cast.succeeded", "cast.failed"],
    "description": "The shop",
    "enabled": True,
    "disabled_at": None,
    "disabled_reason": "",
    "failing_since": None,
    "former_secret_until": None,
    "created_at": "2026-11-23T20:14:02.873Z",
}
WEBHOOK = OpenApiExample("A webhook", value=_WEBHOOK, response_only=True)
NEW_WEBHOOK = OpenApiExample("A new webhook", value={**_WEBHOOK, "secret": SECRET_VALUE}, response_only=True)
WEBHOOK_ORDER = OpenApiExample(
    "The ends that matter", value={"url": URL, "events": ["cast.succeeded", "cast.failed"], "description": "The shop"}, request_only=True
)
WEBHOOK_CHANGES = OpenApiExample("Each step, too", value={"events": ["cast.failed", "generation.failed"]}, request_only=True)
SECRET = OpenApiExample("A new secret", value={"secret": SECRET_VALUE}, response_only=True)
