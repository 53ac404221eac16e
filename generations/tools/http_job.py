"""http.job: any provider that works in jobs, described by a configuration instead of code."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar

from spells.models.tool import Effects, Recovery
from spells.schemas import check, complete

from .configuration import read_config, read_headers
from .contract import Adapter, Delivery, Json, Lost, Problem, Progress, Request, Result, Submitted, ToolDefinition, ToolError
from .definition import Schema
from .http_client import Answer
from .http_job_checks import problems_of
from .http_job_config import ALL, CONFIG_SCHEMA, NOTHING, SUCCEEDED
from .http_job_example import EXAMPLE_CONFIG, EXAMPLE_INPUTS
from .http_job_reading import find, find_at, job_text, outcome_of, result_of, unfinished
from .http_job_requests import make
from .http_job_signatures import verify
from .made_files import files_schema
from .provider_answers import no_lookup, taken
from .provider_api import ProviderApi

MAX_ID_CHARACTERS = 255
MAX_KEPT_CHARACTERS = 2000
# What is kept of each job, so that a webhook about another one is not believed. No name in `kept` is written so.
JOB_ID = "job-id"


class HttpJob(Adapter):
    """Runs jobs at a provider that its configuration describes."""

    key = "http.job"
    config_schema: ClassVar[Mapping[str, Any]] = CONFIG_SCHEMA
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="http.job",
            name="Run a job at any provider",
            description="Runs a job at a provider that the tool's settings describe: how to begin it, how to ask for it, what its answers mean.",
            category="web",
            input_schema=EXAMPLE_CONFIG["input_schema"],
            output_schema=files_schema("The result of the job, with files where it had URLs."),
            example=EXAMPLE_INPUTS,
            config=EXAMPLE_CONFIG,
            effects=Effects.BILLED,
            recovery=Recovery.RESEND,
        ),
    )

    def config_problems(self, config: Mapping[str, Json]) -> list[Problem]:
        """Return what is wrong with templates, JMESPath expressions and schemas, and what contradicts what."""
        return problems_of(_complete(config))

    def declares(self, config: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return the params, the result and the recovery that a configuration tells of. Nothing of one that has problems."""
        if check(dict(config), self.config_schema, path="config") or self.config_problems(config):
            return {}
        whole = _complete(config)
        return {"input_schema": whole["input_schema"], "output_schema": _output_schema(whole), "recovery": Recovery(whole["recovery"])}

    def file_headers(self, request: Request) -> Mapping[str, str]:
        """Return the key: the provider's own files may want it."""
        return _api(request, self._config(request)).secret_headers

    def file_prefixes(self, request: Request) -> Sequence[str]:
        config = self._config(request)
        return _api(request, config).prefixes(config["file_paths"])

    async def run(self, request: Request) -> Result | Submitted:
        config = self._config(request)
        if problems := problems_of(config):
            places = "; ".join(map(str, problems[:5]))
            raise ToolError(f"The tool {request.tool} is not configured right: {places}.", code="bad_config", permanent=True)
        api = _api(request, config)
        answer = await make(api, request, config, "submit")
        with taken():
            begun = await _begun(request, config, api, answer)
        if isinstance(begun, ToolError):
            raise begun
        return begun

    async def poll(self, request: Request, job_id: str) -> Result | Submitted | Progress | Lost | ToolError:
        config = self._config(request)
        api = _api(request, config)
        if not job_id and "lookup" in config:
            return await _looked_up(request, config, api)
        if not job_id and not config["own_id"]:
            return no_lookup(api.host)
        job_id = job_id or str(request.idempotency_key)
        answer = await make(api, request, config, "poll", job_id=job_id, expected=tuple(config["lost_codes"]))
        if answer.status in config["lost_codes"]:
            return Lost(message=f"{api.host} knows of no job {job_id}.")
        return await _news(request, config, api, api.json_of(answer), job_id=job_id)

    async def cancel(self, request: Request, job_id: str) -> None:
        """Ask the provider to stop a job; one that it does not know, or whose state forbids it, is no error."""
        config = self._config(request)
        if "cancel" not in config:
            raise ToolError(f"The tool {request.tool} has no `cancel` request.", code="cannot_cancel", permanent=True)
        expected = (*config["lost_codes"], HTTPStatus.CONFLICT)
        await make(_api(request, config), request, config, "cancel", job_id=job_id, expected=expected)

    def verify_callback(self, delivery: Delivery) -> str:
        return verify(delivery, signature=_complete(delivery.config)["callback"]["signature"])

    def read_callback(self, request: Request, payload: Json) -> Result | Progress | ToolError | None:
        config = self._config(request)
        callback = config["callback"]
        told = find_at(callback["root"], payload)
        if callback["tells"] == NOTHING or told is None or not _is_of_ours(callback, payload, job_id=request.job_handle.get(JOB_ID, "")):
            return None
        outcome = outcome_of(request, config, told)
        if outcome == SUCCEEDED:
            result = find(config, "result", told) if callback["tells"] == ALL and "fetch" not in config else None
            return None if result is None else result_of(request, config, result, told=told)
        news = unfinished(request, config, told, outcome)
        # That it is lost is asked for: a poll's word counts for more.
        return None if isinstance(news, Lost) else news

    def _config(self, request: Request) -> dict[str, Any]:
        return read_config(request, self.config_schema)


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    return complete(config, CONFIG_SCHEMA)


def _output_schema(config: Mapping[str, Any]) -> Schema:
    """Return the schema of the output: the result is described by the configuration."""
    schema = files_schema("The result of the job, with files where it had URLs.")
    return {**schema, "properties": {**schema["properties"], "output": {**schema["properties"]["output"], **config["result_schema"]}}}


def _api(request: Request, config: Mapping[str, Any]) -> ProviderApi:
    api = ProviderApi.of(request, config, scheme=config["api_key_scheme"])
    headers = read_headers(config["headers"], tool=request.tool)
    if api.secret_headers:
        headers[config["api_key_header"]] = api.secret_headers["Authorization"]
    return replace(api, secret_headers=headers)


async def _begun(request: Request, config: Mapping[str, Any], api: ProviderApi, answer: Answer) -> Result | Submitted | ToolError:
    """Return what the answer to a submission says: which job it began, or how that has ended already."""
    told = None if config["own_id"] and not answer.body else api.json_of(answer)
    job_id = str(request.idempotency_key) if config["own_id"] else job_text(find(config, "job_id", told), most=MAX_ID_CHARACTERS)
    handle = _handle(config, told, job_id=job_id)
    if config["immediate"]:
        ended = await _news(replace(request, job_handle=handle), config, api, told, job_id=job_id)
        if isinstance(ended, Result | ToolError):
            return ended
    if not job_id:
        raise ToolError(f"The answer of {api.host} names no job at {config['job_id']}.", code="bad_answer")
    return Submitted(job_id=job_id, poll_after=config["poll_seconds"], handle=handle)


async def _news(
    request: Request, config: Mapping[str, Any], api: ProviderApi, told: Json, *, job_id: str
) -> Result | Progress | Lost | ToolError:
    """Return what an answer says of its job, with its result, which may have to be asked for."""
    outcome = outcome_of(request, config, told)
    if outcome != SUCCEEDED:
        return unfinished(request, config, told, outcome)
    whole = told
    if "fetch" in config:
        answer = await make(api, request, config, "fetch", job_id=job_id, expected=tuple(config["lost_codes"]))
        if answer.status in config["lost_codes"]:
            return Lost(message=f"{api.host} no longer has the result of job {job_id}.")
        whole = api.json_of(answer)
    return result_of(request, config, find(config, "result", whole), told=told)


def _handle(config: Mapping[str, Any], told: Json, *, job_id: str) -> dict[str, str]:
    """Return what to keep of the answer that named a job."""
    kept = {name: job_text(find_at(path, told), most=MAX_KEPT_CHARACTERS) for name, path in config["kept"].items()}
    return {JOB_ID: job_id} | {name: text for name, text in kept.items() if text}


async def _looked_up(request: Request, config: Mapping[str, Any], api: ProviderApi) -> Submitted | Lost:
    """Return the job that our key began: it is asked for at once, by its id."""
    answer = await make(api, request, config, "lookup", expected=tuple(config["lost_codes"]))
    told = None if answer.status in config["lost_codes"] else api.json_of(answer)
    job_id = job_text(find_at(config["lookup"]["job_id"], told), most=MAX_ID_CHARACTERS)
    if not job_id:
        return Lost(message=f"{api.host} knows of no job with our key.")
    return Submitted(job_id=job_id, poll_after=0.0, handle=_handle(config, told, job_id=job_id))


def _is_of_ours(callback: Mapping[str, Any], payload: Json, *, job_id: str) -> bool:
    """Tell whether a webhook names our job, as far as both are known."""
    if "job_id" not in callback:
        return True
    named = job_text(find_at(callback["job_id"], payload), most=MAX_ID_CHARACTERS)
    return not job_id or named == job_id
