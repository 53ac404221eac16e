"""http.job: a provider that does not exist, as the tool that comes with the adapter describes it. docs/tools/http-job.md tells it."""

from collections.abc import Mapping
from typing import Any

from .definition import integer_schema, object_schema, text_schema

EXAMPLE_CONFIG: Mapping[str, Any] = {
    "base_url": "https://api.lumen.example/v1",
    "api_key_env": "LUMEN_API_KEY",
    "input_schema": object_schema(
        {
            "prompt": text_schema("What to paint.", max_length=4000, minLength=1),
            "steps": integer_schema("How long to paint.", minimum=1, maximum=100, default=30),
            "image": {"type": "object", "description": "A picture to begin with.", "required": ["artifact"], "x-kind": "image"},
        },
        required=("prompt",),
    ),
    "submit": {
        "path": "paintings",
        "headers": {"Idempotency-Key": "{{ idempotency_key }}"},
        "body": {
            "prompt": "{{ inputs.prompt }}",
            "options": {"steps": "{{ inputs.steps }}", "start_from": "{{ inputs.image | default(none) }}"},
            "notify": "{{ callback_url }}",
        },
    },
    "job_id": "painting.id",
    "poll": {"path": "paintings/{{ job_id }}"},
    "status": "painting.state",
    "statuses": {
        "waiting": "running",
        "painting": "running",
        "dry": "succeeded",
        "spoilt": "failed",
        "stopped": "cancelled",
        "unknown": "lost",
    },
    "progress": "painting.done",
    "progress_of": 1,
    "stage": "painting.message",
    "result": "painting.result",
    "files": ["canvas.url", "sketches[].url"],
    "error": "painting.problem",
    "cost": {"quantity": "painting.gpu_seconds", "unit": "per_second"},
    "cancel": {"method": "DELETE", "path": "paintings/{{ job_id }}"},
    "callback": {
        "root": "event",
        "job_id": "event.painting.id",
        "tells": "all",
        "signature": {
            "kind": "hmac-sha256",
            "secret_env": "LUMEN_WEBHOOK_SECRET",
            "header": "X-Lumen-Signature",
            "prefix": "sha256=",
            "timestamp_header": "X-Lumen-Timestamp",
        },
    },
    "recovery": "resend",
    "poll_seconds": 2,
}
EXAMPLE_INPUTS: Mapping[str, Any] = {"prompt": "a lighthouse in a storm, woodcut", "steps": 20}
