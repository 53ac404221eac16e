"""fal: models behind fal's queue."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import httpx2

from spells.models.tool import Effects

from .configuration import headers_schema, read_config, read_headers
from .contract import Adapter, Delivery, Json, Lost, Progress, Request, Result, Submitted, ToolDefinition, ToolError
from .definition import object_schema
from .fal_queue import Hook, Status, failure, needs_a_poll, read_place, result_of, tells_sort
from .fal_signatures import verify
from .given_files import SMALL_BYTES, GivenFile, free_of_charge, with_files
from .http_client import Answer, Outgoing, exchange
from .http_errors import RETRYABLE, status_error
from .made_files import KEEP_PROPERTIES, files_schema
from .provider_answers import no_lookup, read_as
from .provider_api import URL_PATTERN, ProviderApi, provider_schema

# Apps of these are named by three words, others by two; what follows is a path inside of the app.
_NAMESPACES = ("workflows", "comfy")
MIN_START_SECONDS = 2
MAX_UPLOAD_ANSWER_BYTES = 64 * 1024
_ADDRESS = {"type": "string", "maxLength": 500}

_CONFIG_SCHEMA = provider_schema(
    {
        "application": {
            "type": "string",
            "description": "The model, like fal-ai/flux/schnell.",
            "pattern": "^[A-Za-z0-9_-]+(/[A-Za-z0-9._-]+)+$",
            "maxLength": 200,
        },
        "priority": {"type": "string", "description": "The place in the queue.", "enum": ["normal", "low"], "default": "normal"},
        "provider_retries": {
            "type": "boolean",
            "description": "Let fal try again by itself what its machines failed at. Off: the tool's own policy decides alone.",
            "default": False,
        },
        "origins": {
            "type": "array",
            "description": "Further addresses of the queue, like https://queue-eu.fal.run: they get the key, if fal names them.",
            "items": {**_ADDRESS, "pattern": "^https?://[^\\s/]+$"},
            "maxItems": 10,
            "default": [],
        },
        "storage_url": {
            **_ADDRESS,
            "description": "Where larger files are uploaded; it gets the key. Empty: they go along in the request.",
            "pattern": "^(https?://[^\\s]+)?$",
            "default": "https://rest.fal.ai",
        },
        "webhook_keys_url": {
            **_ADDRESS,
            "description": "Where fal publishes the keys that sign webhooks. Empty: the signed address alone shows them genuine.",
            "pattern": f"^$|{URL_PATTERN}",
            "default": "https://rest.fal.ai/.well-known/jwks.json",
        },
        "headers": headers_schema("Further headers of each request, as a gateway before fal may want them."),
        **KEEP_PROPERTIES,
    },
    base_url="https://queue.fal.run",
    api_key_env="FAL_KEY",
    required=("application",),
)


class Fal(Adapter):
    """Runs models at fal."""

    key = "fal"
    config_schema: ClassVar[Mapping[str, Any]] = _CONFIG_SCHEMA
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="fal",
            provider="fal",
            name="Run a model at fal",
            description="Runs a model at fal. Files go in as artefacts; files that come out are kept.",
            category="model",
            input_schema=object_schema(
                {
                    "input": {
                        "type": "object",
                        "description": "What the model takes, by its own names. Artefacts, at any place in it, go along as files.",
                        "default": {},
                    }
                }
            ),
            output_schema=files_schema("What the model gave, with files where it had URLs."),
            example={"input": {"prompt": "a lighthouse in a storm, woodcut", "image_size": "landscape_4_3"}},
            config={"application": "fal-ai/flux/schnell"},
            effects=Effects.BILLED,
            run_timeout_seconds=120,
        ),
    )

    async def run(self, request: Request) -> Submitted:
        config = read_config(request, self.config_schema)
        api = _api(request, config)

        async def give(file: GivenFile) -> str:
            is_small = len(file.data) <= SMALL_BYTES or not config["storage_url"]
            return file.data_uri() if is_small else await _upload(request, config, api, file)

        body = await with_files(request, request.inputs["input"], give=give)
        query = f"?{urlencode({'fal_webhook': request.callback_url})}" if request.callback_url else ""
        answer = await api.ask("POST", config["application"] + query, json=body, headers=_headers(request, config))
        place = read_place(answer, host=api.host)
        home = f"{_app(config['application'])}/requests/{quote(place.request_id, safe='')}"
        handle = {
            "request_id": place.request_id,
            "response_url": _own(place.response_url, config, api, otherwise=home),
            "status_url": _own(place.status_url, config, api, otherwise=f"{home}/status"),
            "cancel_url": _own(place.cancel_url, config, api, otherwise=f"{home}/cancel"),
        }
        return Submitted(job_id=place.request_id, poll_after=config["poll_seconds"], handle=handle)

    async def poll(self, request: Request, job_id: str) -> Result | Progress | Lost | ToolError:
        config = read_config(request, self.config_schema)
        if not job_id:
            return no_lookup(httpx2.URL(config["base_url"]).host)
        api, address = _way(request, config, job_id, "status")
        answer = await api.send("GET", f"{address}{'&' if '?' in address else '?'}logs=1", expected=(HTTPStatus.NOT_FOUND,))
        if answer.status == HTTPStatus.NOT_FOUND:
            return Lost(message=f"{api.host} knows of no request {job_id}.")
        status = read_as(Status, api.json_of(answer), host=api.host, what="status of a request")
        if status.status != "COMPLETED":
            return status.progress(request, poll_after=config["poll_seconds"])
        if status.error:
            kind = status.error_type if isinstance(status.error_type, str) else ""
            return failure(status.error, kind=kind)
        return await _response(request, config, job_id, seconds=status.seconds)

    async def cancel(self, request: Request, job_id: str) -> None:
        """Ask fal to stop a request; one that has ended, or that it does not know, is no error."""
        config = read_config(request, self.config_schema)
        api, address = _way(request, config, job_id, "cancel")
        answer = await api.send("PUT", address, expected=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND))
        if answer.status == HTTPStatus.BAD_REQUEST and b"ALREADY_COMPLETED" not in answer.body:
            raise status_error(answer.status, answer.headers, answer.body, host=api.host)

    async def verify_callback(self, delivery: Delivery) -> str:
        keys_url = delivery.config.get("webhook_keys_url", _CONFIG_SCHEMA["properties"]["webhook_keys_url"]["default"])
        return await verify(delivery, keys_url=keys_url) if keys_url else ""

    def read_callback(self, request: Request, payload: Json) -> Result | ToolError | None:
        """Return what a webhook says. All of fal's customers have the same signature, so it must name our own request."""
        config = read_config(request, self.config_schema)
        hook = read_as(Hook, payload, host="fal", what="webhook")
        ours = request.job_handle.get("request_id", hook.request_id)
        if hook.request_id != ours or hook.payload_error or needs_a_poll(request):
            return None
        if hook.status == "OK" and hook.payload is not None:
            return result_of(request, config, hook.payload)
        return failure(hook.payload or hook.error) if hook.status == "ERROR" else None


def _api(request: Request, config: Mapping[str, Any]) -> ProviderApi:
    api = ProviderApi.of(request, config, scheme="Key")
    return replace(api, secret_headers={**read_headers(config["headers"], tool=request.tool), **api.secret_headers})


def _headers(request: Request, config: Mapping[str, Any]) -> dict[str, str]:
    headers = {
        "X-Fal-Queue-Priority": config["priority"],
        "X-Fal-Request-Timeout": str(max(MIN_START_SECONDS, int(request.deadline_seconds))),
    }
    return headers if config["provider_retries"] else {**headers, "x-fal-no-retry": "1"}


def _app(application: str) -> str:
    """Return the name of an app without the path inside of it: its requests are below that."""
    words = application.split("/")
    return "/".join(words[: 3 if words[0] in _NAMESPACES else 2])


def _own(url: str, config: Mapping[str, Any], api: ProviderApi, *, otherwise: str) -> str:
    """Return an address that fal named, if it is one of the queue's; else where it ought to be. Nobody else gets our key."""
    return url if _home_of(url, config, api) else otherwise


def _home_of(url: str, config: Mapping[str, Any], api: ProviderApi) -> str:
    """Return the address of the queue to which a URL belongs; empty for a stranger's."""
    for home in (api.base_url, *config["origins"]):
        try:
            replace(api, base_url=home).url(url)
        except (ToolError, httpx2.InvalidURL, ValueError):
            continue
        if url.startswith(("http://", "https://")):
            return str(home)
    return ""


def _way(request: Request, config: Mapping[str, Any], job_id: str, what: str) -> tuple[ProviderApi, str]:
    """Return where to ask for a request: `status`, `response` or `cancel`."""
    api = _api(request, config)
    ending = {"status": "/status", "cancel": "/cancel", "response": ""}[what]
    otherwise = f"{_app(config['application'])}/requests/{quote(job_id, safe='')}{ending}"
    address = request.job_handle.get(f"{what}_url") or otherwise
    return replace(api, base_url=_home_of(address, config, api) or api.base_url), address


async def _response(request: Request, config: Mapping[str, Any], job_id: str, *, seconds: Any) -> Result | Lost | ToolError:
    """Fetch what a request gave; an error that stands in its place is the request's own."""
    api, address = _way(request, config, job_id, "response")
    answer = await api.send("GET", address, expected=range(400, 600))
    if 200 <= answer.status < 300:  # noqa: PLR2004 - the success statuses of HTTP
        return result_of(request, config, api.json_of(answer), seconds=seconds, units=answer.headers.get("x-fal-billable-units"))
    if answer.status == HTTPStatus.NOT_FOUND:
        return Lost(message=f"{api.host} no longer has what request {job_id} gave.")
    told = _fault_in(answer, api)
    if told is None:
        raise status_error(answer.status, answer.headers, answer.body, host=api.host)
    kind, retryable = (answer.headers.get(name, "")[:100] for name in _OPINIONS)
    return failure(told, status=answer.status, kind=kind, retryable=retryable)


# What fal says of a failure beside its words: the sort of it, and whether to try again.
_OPINIONS = ("x-fal-error-type", "x-fal-retryable")


def _fault_in(answer: Answer, api: ProviderApi) -> Mapping[str, Any] | None:
    """Return what the model says of its failure; None when the queue, or a gateway before it, does not hand that out.

    Gateways, too, answer 5xx with a text as `detail`. The model's own word is a list of faults, or comes with fal's opinion.
    """
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *RETRYABLE):
        return None
    try:
        told = api.json_of(answer)
    except ToolError:
        return None
    if not isinstance(told, Mapping) or ("detail" not in told and "error_type" not in told):
        return None
    is_sure = answer.status < HTTPStatus.INTERNAL_SERVER_ERROR or any(name in answer.headers for name in _OPINIONS)
    return told if is_sure or tells_sort(told) else None


async def _upload(request: Request, config: Mapping[str, Any], api: ProviderApi, file: GivenFile) -> str:
    """Put a file where fal's models find it, and return its address."""
    storage = replace(api, base_url=config["storage_url"].rstrip("/"))
    with free_of_charge():
        told = await storage.ask(
            "POST", "storage/upload/initiate?storage_type=gcs", json={"file_name": file.name, "content_type": file.mime_type}
        )
        place = told if isinstance(told, Mapping) else {}
        upload_url, file_url = place.get("upload_url"), place.get("file_url")
        if not isinstance(upload_url, str) or not isinstance(file_url, str):
            raise ToolError(f"{storage.host} does not say where to upload a file.", code="bad_answer")
        outgoing = Outgoing(
            method="PUT",
            url=upload_url,
            headers={"Content-Type": file.mime_type},
            content=file.data,
            max_bytes=MAX_UPLOAD_ANSWER_BYTES,
            timeout_seconds=request.timeout_seconds,
            allow_private_addresses=config["allow_private_addresses"],
            trusted_url=storage.base_url,
        )
        answer = await exchange(outgoing)
        if not answer.is_success:
            raise status_error(answer.status, answer.headers, answer.body, host=answer.url.host)
    return file_url
