"""Examples that the API's documentation shows."""

from drf_spectacular.utils import OpenApiExample

CAST_ID = "019a5d0c-61c5-7c0f-9d5e-3f1f6f1c9a10"
_ARTIFACT_ID = "019a5d0c-7be2-7d31-8b5f-0c4de1f0a2b7"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_URL = f"https://grimoire.example.org/api/v1/artifacts/{_ARTIFACT_ID}/"

REFERENCE_VALUE = {"artifact": _ARTIFACT_ID, "sha256": _SHA256, "mime_type": "image/png", "size": 184_201}
GENERATION_VALUE = {
    "id": "019a5d0c-6b11-7e0a-a2f4-5d8b8f3d1c22",
    "cast": CAST_ID,
    "step": "art",
    "item": 0,
    "attempt": 1,
    "status": "succeeded",
    "tool": "image.paint",
    "inputs": {"prompt": "A lighthouse at dusk.", "seed": 0},
    "output": {"image": REFERENCE_VALUE},
    "unfetched": None,
    "error": None,
    "reason": "",
    "cost_usd": "0",
    "cost_basis": None,
    "progress": None,
    "job_id": "",
    "cancellation": None,
    "created_at": "2026-11-23T20:14:03.101Z",
    "started_at": "2026-11-23T20:14:03.101Z",
    "finished_at": "2026-11-23T20:14:04.480Z",
    "retry_at": None,
    "deadline_at": "2026-11-23T21:14:03.101Z",
    "artifacts": [
        {"id": _ARTIFACT_ID, "sha256": _SHA256, "mime_type": "image/png", "size": 184_201, "name": "painting.png", "url": _URL},
    ],
}

GENERATION = OpenApiExample("A painted picture", value=GENERATION_VALUE, response_only=True)
REFERENCE = OpenApiExample("An uploaded picture", value=REFERENCE_VALUE, response_only=True)
LINK = OpenApiExample(
    "A link", value={"url": f"{_URL}?signature=1vN3aB:c2lnbmF0dXJl", "expires_at": "2026-11-23T21:14:05Z"}, response_only=True
)
