"""replicate: models at Replicate, or on a cog server of one's own."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import quote

import httpx2

from spells.models.tool import Effects, Recovery

from .configuration import read_config
from .contract import Adapter, Delivery, Json, Lost, Problem, Progress, Request, Result, Submitted, ToolDefinition, ToolError
from .definition import integer_schema, object_schema
from .file_places import file_paths_property
from .given_files import SMALL_BYTES, GivenFile, free_of_charge, multipart, with_files
from .made_files import KEEP_PROPERTIES, files_schema
from .provider_answers import no_lookup, taken
from .provider_api import ENV_PATTERN, ProviderApi, provider_schema
from .replicate_prediction import AT_WORK, Prediction, news, read_prediction
from .standard_webhooks import verify

EVENTS = ("start", "output", "logs", "completed")
MAX_WAIT_SECONDS = 60
# What `Cancel-After` takes.
MIN_CANCEL_SECONDS, MAX_CANCEL_SECONDS = 5, 86_400
_OWNED = {"type": "string", "pattern": "^([a-z0-9_.-]+/[a-z0-9_.-]+)?$", "maxLength": 200, "default": ""}

_CONFIG_SCHEMA = provider_schema(
    {
        "model": {**_OWNED, "description": "The model, like black-forest-labs/flux-schnell: its newest version runs."},
        "version": {
            "type": "string",
            "description": "A version to stay with: its id, or owner/name:id. Instead of `model`.",
            "pattern": "^([a-z0-9_.-]+/[a-z0-9_.-]+:)?[a-f0-9]*$",
            "maxLength": 300,
            "default": "",
        },
        "deployment": {**_OWNED, "description": "A deployment of yours, like owner/name. Instead of `model`."},
        "submit": {
            "type": "string",
            "description": "post: Replicate. put: a cog server, whose prediction gets our id, and whose answer is waited for.",
            "enum": ["post", "put"],
            "default": "post",
        },
        "wait_seconds": integer_schema(
            "How long Replicate may hold its answer for a quick model. 0: not at all.", minimum=0, maximum=MAX_WAIT_SECONDS, default=0
        ),
        "webhook_events": {
            "type": "array",
            "description": "Of what Replicate tells us by webhook.",
            "items": {"type": "string", "enum": list(EVENTS)},
            "minItems": 1,
            "maxItems": len(EVENTS),
            "default": ["completed"],
        },
        "webhook_secret_env": {
            "type": "string",
            "description": "The environment variable with the secret that signs webhooks. Empty: the signed address alone shows them genuine.",
            "pattern": ENV_PATTERN,
            "default": "",
        },
        "file_paths": file_paths_property(["files/"]),
        **KEEP_PROPERTIES,
    },
    base_url="https://api.replicate.com/v1",
    api_key_env="REPLICATE_API_TOKEN",
)
_INPUT_SCHEMA = object_schema(
    {
        "input": {
            "type": "object",
            "description": "What the model takes, by its own names. Artefacts, at any place in it, go along as files.",
            "default": {},
        }
    }
)
_OUTPUT_SCHEMA = files_schema("What the model gave, of whatever shape, with files where it had URLs.")


class Replicate(Adapter):
    """Runs models that are packed with cog."""

    key = "replicate"
    config_schema: ClassVar[Mapping[str, Any]] = _CONFIG_SCHEMA
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="replicate",
            provider="replicate",
            name="Run a model at Replicate",
            description="Runs a model at Replicate. Files go in as artefacts; files that come out, in whatever shape, are kept.",
            category="model",
            input_schema=_INPUT_SCHEMA,
            output_schema=_OUTPUT_SCHEMA,
            example={"input": {"prompt": "a lighthouse in a storm, woodcut"}},
            config={"model": "black-forest-labs/flux-schnell", "webhook_events": ["start", "completed"]},
            effects=Effects.BILLED,
            run_timeout_seconds=120,
        ),
        ToolDefinition(
            slug="replicate.cog",
            name="Run a model on a cog server",
            description="Runs the model of a cog server of your own, and waits for it.",
            category="model",
            input_schema=_INPUT_SCHEMA,
            output_schema=_OUTPUT_SCHEMA,
            example={"input": {"prompt": "a lighthouse in a storm, woodcut"}},
            config={"base_url": "http://127.0.0.1:5000", "api_key_env": "", "submit": "put"},
            effects=Effects.BILLED,
            recovery=Recovery.RESEND,
            run_timeout_seconds=900,
        ),
    )

    def config_problems(self, config: Mapping[str, Json]) -> list[Problem]:
        """Return a problem unless exactly one model is named; a cog server has but one."""
        named = [name for name in ("model", "version", "deployment") if config.get(name)]
        if config.get("submit") == "put":
            return [Problem(f"config.{name}", "is not for a cog server, which has one model") for name in named]
        if len(named) != 1:
            return [Problem("config", "must name one of `model`, `version` and `deployment`")]
        return []

    def declares(self, config: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return the recovery: a cog server takes the same prediction twice for one."""
        return {"recovery": Recovery.RESEND if config.get("submit") == "put" else Recovery.NONE}

    def file_headers(self, request: Request) -> Mapping[str, str]:
        """Return the key: outputs that are kept with the API itself are not public."""
        return ProviderApi.of(request, read_config(request, self.config_schema)).secret_headers

    def file_prefixes(self, request: Request) -> Sequence[str]:
        config = read_config(request, self.config_schema)
        return ProviderApi.of(request, config).prefixes(config["file_paths"])

    async def run(self, request: Request) -> Result | Submitted:
        config = self._config(request)
        api = ProviderApi.of(request, config)
        prediction = await (_put if config["submit"] == "put" else _post)(request, config, api)
        with taken():
            told = news(request, config, prediction)
        if isinstance(told, ToolError):
            raise told
        if not isinstance(told, Progress):
            return told
        if prediction.id is None:
            raise ToolError(f"The answer of {api.host} names no prediction.", code="bad_answer", ambiguous=True)
        return Submitted(job_id=prediction.id, poll_after=config["poll_seconds"])

    async def poll(self, request: Request, job_id: str) -> Result | Progress | Lost | ToolError:
        config = self._config(request)
        api = ProviderApi.of(request, config)
        if not job_id:
            return no_lookup(api.host)
        answer = await api.send("GET", f"predictions/{quote(job_id, safe='')}", expected=(HTTPStatus.NOT_FOUND,))
        if answer.status == HTTPStatus.NOT_FOUND:
            return Lost(message=f"{api.host} knows of no prediction {job_id}.")
        return news(request, config, read_prediction(api.json_of(answer), host=api.host))

    async def cancel(self, request: Request, job_id: str) -> None:
        """Ask the provider to stop a prediction; one that has ended, or that it has forgotten, is no error."""
        api = ProviderApi.of(request, self._config(request))
        await api.send("POST", f"predictions/{quote(job_id, safe='')}/cancel", expected=(HTTPStatus.NOT_FOUND,))

    def verify_callback(self, delivery: Delivery) -> str:
        secret_env = delivery.config.get("webhook_secret_env", "")
        return verify(delivery, secret_env=secret_env) if secret_env else ""

    def read_callback(self, request: Request, payload: Json) -> Result | Progress | ToolError | None:
        """Return what a webhook says; of a success without its output no more than that: the prediction itself has it, if any."""
        config = self._config(request)
        prediction = read_prediction(payload, host=httpx2.URL(config["base_url"]).host)
        is_empty = prediction.status == "succeeded" and prediction.output is None
        return None if is_empty else news(request, config, prediction)

    def _config(self, request: Request) -> dict[str, Any]:
        config = read_config(request, self.config_schema)
        if problems := self.config_problems(config):
            told = "; ".join(map(str, problems))
            raise ToolError(f"The tool {request.tool} is not configured right: {told}.", code="bad_config", permanent=True)
        return config


async def _post(request: Request, config: Mapping[str, Any], api: ProviderApi) -> Prediction:
    """Make a prediction at Replicate. Without an answer, nobody knows whether there is one: it takes no key of ours."""

    async def give(file: GivenFile) -> str:
        return file.data_uri() if len(file.data) <= SMALL_BYTES else await _upload(api, file)

    body: dict[str, Any] = {"input": await with_files(request, request.inputs["input"], give=give)}
    path = "predictions"
    if config["version"]:
        body["version"] = config["version"]
    elif config["deployment"]:
        path = f"deployments/{config['deployment']}/predictions"
    else:
        path = f"models/{config['model']}/predictions"
    if request.callback_url and takes(api, request.callback_url):
        body |= {"webhook": request.callback_url, "webhook_events_filter": config["webhook_events"]}
    answer = await api.ask("POST", path, json=body, headers=_headers(request, config))
    with taken():
        return read_prediction(answer, host=api.host)


def takes(api: ProviderApi, callback_url: str) -> bool:
    """Tell whether the provider takes that address: one on the web calls back by https alone, and refuses the whole request else."""
    return callback_url.startswith("https://") or api.base_url.startswith("http://")


def _headers(request: Request, config: Mapping[str, Any]) -> dict[str, str]:
    seconds = int(min(max(request.deadline_seconds, MIN_CANCEL_SECONDS), MAX_CANCEL_SECONDS))
    headers = {"Cancel-After": f"{seconds}s"}
    # The answer must come while we still listen.
    wait = int(min(config["wait_seconds"], request.timeout_seconds / 2))
    if wait:
        headers["Prefer"] = f"wait={wait}"
    return headers


async def _upload(api: ProviderApi, file: GivenFile) -> str:
    """Give the provider a file, and return its address there."""
    content, headers = multipart("content", file)
    with free_of_charge():
        told = await api.ask("POST", "files", content=content, headers=headers)
    url = told.get("urls", {}).get("get") if isinstance(told, Mapping) and isinstance(told.get("urls"), Mapping) else None
    if not isinstance(url, str) or not url:
        raise ToolError("The provider took a file but does not say where it is.", code="bad_answer")
    return url


async def _put(request: Request, config: Mapping[str, Any], api: ProviderApi) -> Prediction:
    """Run the model of a cog server under an id of ours, and return the prediction that ended.

    A cog server stops a prediction whose asker hangs up, and forgets those that ended. So a lost answer leaves nothing
    that goes on. Asked again, the server tells of the one that is not yet stopped, or runs the model anew.
    """

    async def give(file: GivenFile) -> str:
        return file.data_uri()

    body = {"input": await with_files(request, request.inputs["input"], give=give)}
    place = f"predictions/{request.idempotency_key}"
    answer = await api.ask("PUT", place, json=body)
    with taken():  # what is refused from here on is the question, and not the prediction
        while (prediction := read_prediction(answer, host=api.host)).status in AT_WORK:
            await asyncio.sleep(config["poll_seconds"])
            answer = await api.ask("PUT", place, json=body)
    return prediction
