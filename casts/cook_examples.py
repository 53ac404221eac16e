"""Examples of collections, cooks and pieces that the API's documentation shows."""

from drf_spectacular.utils import OpenApiExample

from generations.api_examples import CAST_ID, REFERENCE_VALUE

_TREE = {
    "categories": [
        {"name": "Sea", "traits": [{"value": "Calm", "prompt": "a calm sea", "weight": 70}, {"value": "Storm", "weight": 30}]},
        {"name": "Number", "range": {"start": 1, "end": 1000, "unique": True, "shuffle_seed": 7}},
    ]
}
_INPUTS = {"prompt": "A lantern by {{ prompts.Sea }}", "seed": "{{ index }}"}
_PLAN = {"name": "Lanterns", "tool": "image.paint", "inputs": _INPUTS, "trait_tree": _TREE, "seed": 1871, "target_supply": 500}
_COLLECTION = {
    "id": 7,
    "name": "Lanterns",
    "description": "",
    "spell": "tool-image-paint",
    "version": 1,
    "seed": 1871,
    "target_supply": 500,
    "owner": "ada",
    "idempotency_key": None,
    "created_at": "2026-11-23T20:14:02.873Z",
}
COLLECTION_ORDER = OpenApiExample("A trait tree", value=_PLAN, request_only=True)
LIST_ORDER = OpenApiExample(
    "A list", value={"name": "Places", "tool": "image.paint", "items": [{"prompt": "a harbour"}, {"prompt": "a cliff"}]}, request_only=True
)
CSV_ORDER = OpenApiExample(
    "A list as CSV",
    value={
        "name": "Places",
        "tool": "image.paint",
        "inputs": {"prompt": "{{ item.place }} at {{ item.hour }}"},
        "list": {"format": "csv", "text": "place,hour\na harbour,dawn\na cliff,dusk\n"},
    },
    request_only=True,
)
COLLECTION = OpenApiExample("A collection", value=_COLLECTION, response_only=True)
COLLECTION_IN_FULL = OpenApiExample(
    "A collection in full", value={**_COLLECTION, "inputs": _INPUTS, "trait_tree": _TREE, "item_count": None}, response_only=True
)
PREVIEW_ORDER = OpenApiExample("The first two of a hundred", value={"pieces": 100, "shown": 2}, request_only=True)
DRAFT_PREVIEW_ORDER = OpenApiExample("Of a collection that is not kept", value={"collection": _PLAN, "shown": 1}, request_only=True)
_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
PREVIEW = OpenApiExample(
    "A preview",
    value={
        "total": 500,
        "supply": 1000,
        "pieces": [
            {
                "index": 0,
                "traits": {"Sea": "Calm", "Number": "417"},
                "trait_hash": _HASH,
                "item": None,
                "inputs": {"prompt": "A lantern by a calm sea", "seed": 0},
            }
        ],
        "rarity": [
            {"category": "Sea", "value": "Calm", "asked": 0.7, "drawn": 347, "share": 0.694},
            {"category": "Sea", "value": "Storm", "asked": 0.3, "drawn": 153, "share": 0.306},
        ],
        "quote": {"each_usd": "0", "total_usd": "0", "basis": "tools", "unknown": []},
    },
    response_only=True,
)
COOK_ORDER = OpenApiExample(
    "With a budget",
    value={"collection": 7, "pieces": 100, "max_parallel": 8, "budget_usd": "20.00", "on_failure": "replace"},
    request_only=True,
)
COOK = OpenApiExample(
    "A cook at work",
    value={
        "id": 3,
        "collection": 7,
        "name": "Lanterns",
        "status": "running",
        "reason": "",
        "max_parallel": 8,
        "budget_usd": "20",
        "quote_usd": "4",
        "cost_usd": "1.64",
        "on_failure": "replace",
        "max_attempts": 3,
        "failures_to_stop": 3,
        "progress": {
            "total": 100,
            "pending": 51,
            "cooking": 8,
            "made": 41,
            "failed": 0,
            "percent": 41,
            "per_minute": 12.5,
            "seconds_left": 283,
        },
        "initiator": "ada",
        "idempotency_key": "lanterns-1",
        "created_at": "2026-11-23T20:14:02.873Z",
        "finished_at": None,
    },
    response_only=True,
)
REASON = OpenApiExample("With a reason", value={"reason": "The prompts are to be mended first."}, request_only=True)
RESUME = OpenApiExample("With a larger budget", value={"budget_usd": "40.00"}, request_only=True)
EXTEND = OpenApiExample("To a thousand in all", value={"pieces": 1000}, request_only=True)
REGENERATE = OpenApiExample("With other traits", value={"redraw": True}, request_only=True)
PIECE = OpenApiExample(
    "A piece that was made",
    value={
        "id": 4711,
        "cook": 3,
        "index": 0,
        "status": "made",
        "traits": {"Sea": "Calm", "Number": "417"},
        "trait_hash": _HASH,
        "redraw": 0,
        "item": None,
        "error": None,
        "cast": CAST_ID,
        "outputs": {"image": REFERENCE_VALUE},
        "attempts": [
            {
                "number": 1,
                "status": "made",
                "cast": CAST_ID,
                "traits": {"Sea": "Calm", "Number": "417"},
                "cost_usd": "0.04",
                "created_at": "2026-11-23T20:14:02.873Z",
                "ended_at": "2026-11-23T20:14:06.040Z",
            }
        ],
        "settled_at": "2026-11-23T20:14:06.040Z",
    },
    response_only=True,
)

STREAM = OpenApiExample(
    "A piece that was made",
    value='event: piece\ndata: {"id":4711,"index":0,"status":"made","traits":{"Sea":"Calm"}}\nid: 9f86d081884c7d65\n\n',
    response_only=True,
    media_type="text/event-stream",
)
