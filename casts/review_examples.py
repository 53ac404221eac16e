"""Examples of reviews that the API's documentation shows."""

from drf_spectacular.utils import OpenApiExample

from generations.api_examples import CAST_ID, REFERENCE_VALUE

NEXT = OpenApiExample("Ten pieces for ten minutes", value={"cook": 7, "limit": 10, "lease_seconds": 600}, request_only=True)
REJECT = OpenApiExample("Rejected, to be cast again", value={"reason": "Three hands.", "again": "same"}, request_only=True)
BULK = OpenApiExample(
    "All with one of two hats",
    value={"cook": 7, "decision": "rejected", "reason": "They cannot be told apart.", "where": {"traits": {"Hat": ["Cap", "Beret"]}}},
    request_only=True,
)
REMAKE = OpenApiExample(
    "Made anew with other traits",
    value={"cook": 7, "decision": "rejected", "reason": "Blurred.", "again": "redraw", "where": {"first": 0, "last": 99}},
    request_only=True,
)
CULL = OpenApiExample("Down to 1,000", value={"cook": 7, "target": 1000}, request_only=True)
_REVIEW = {
    "piece": 4711,
    "cook": 7,
    "index": 12,
    "attempt": 1,
    "traits": {"Sea": "Calm", "Hat": "Tricorne"},
    "cast": CAST_ID,
    "outputs": {"image": REFERENCE_VALUE},
    "files": [
        {
            "artifact": REFERENCE_VALUE["artifact"],
            "mime_type": REFERENCE_VALUE["mime_type"],
            "size": REFERENCE_VALUE["size"],
            "url": f"https://grimoire.example.org/api/v1/artifacts/{REFERENCE_VALUE['artifact']}/?signature=1vN3aB:c2lnbmF0dXJl",
        }
    ],
}
OPEN = OpenApiExample(
    "In your hands",
    value={
        **_REVIEW,
        "decision": None,
        "reason": "",
        "reviewer": "ada",
        "leased_until": "2026-11-29T18:05:00Z",
        "decided_at": None,
    },
    response_only=True,
)
DECIDED = OpenApiExample(
    "Decided",
    value={
        **_REVIEW,
        "decision": "accepted",
        "reason": "",
        "reviewer": "ada",
        "leased_until": None,
        "decided_at": "2026-11-29T18:02:11.480Z",
    },
    response_only=True,
)
EVENT = OpenApiExample(
    "A rejection",
    value={"id": 31, "act": "rejected", "attempt": 1, "actor": "ada", "reason": "Three hands.", "at": "2026-11-29T18:02:11.480Z"},
    response_only=True,
)
MANY = OpenApiExample("Most of them", value={"decided": 118, "left": 2}, response_only=True)
CULLED = OpenApiExample("Culled", value={"culled": 37}, response_only=True)
