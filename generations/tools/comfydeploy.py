"""comfydeploy: ComfyUI workflows that are deployed at ComfyDeploy."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from mimetypes import guess_type
from typing import Any, ClassVar

from pydantic import AwareDatetime, BaseModel, Field

from generations.outputs import clean_text
from spells.models.tool import Effects

from .configuration import read_config
from .contract import Adapter, Cost, Lost, Progress, RemoteFile, Request, Result, Submitted, ToolDefinition, ToolError
from .definition import artifact_schema, object_schema
from .given_files import GivenFile, with_files
from .http_errors import MAX_WORDS
from .pricing import charge
from .provider_answers import Duration, JobId, no_lookup, read_as, taken
from .provider_api import ProviderApi, provider_schema

logger = logging.getLogger(__name__)

MAX_GIVEN_BYTES = 50 * 2**20
OUTPUTS_COME_WITHIN_SECONDS = 60.0
# In today's words and in older ones.
WAITING = frozenset({"not-started", "queued", "started"})
AT_WORK = WAITING | {"running", "uploading", "processing"}
SUCCEEDED = frozenset({"success", "completed"})
FAILED = frozenset({"failed", "error"})
KINDS = ("images", "gifs", "videos", "audio", "files", "mesh", "3d", "model_file")

_CONFIG_SCHEMA = provider_schema(
    {
        "deployment_id": {"type": "string", "description": "The id of the deployment.", "pattern": "^[A-Za-z0-9_-]{1,100}$"},
        "webhook_intermediate_status": {
            "type": "boolean",
            "description": "Be told of progress by webhook, too, not of the end alone.",
            "default": True,
        },
    },
    base_url="https://api.comfydeploy.com/api",
    api_key_env="COMFY_DEPLOY_API_KEY",
    required=("deployment_id",),
)


class ComfyDeploy(Adapter):
    """Runs a deployed workflow."""

    key = "comfydeploy"
    config_schema: ClassVar[Mapping[str, Any]] = _CONFIG_SCHEMA
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="comfydeploy",
            provider="comfydeploy",
            name="Run a workflow at ComfyDeploy",
            description="Runs a ComfyUI workflow that is deployed at ComfyDeploy. Files go in as artefacts; all files that come out are kept.",
            category="image",
            input_schema=object_schema(
                {
                    "inputs": {
                        "type": "object",
                        "description": "The inputs of the workflow, by the names of its external nodes. Artefacts go along as files.",
                        "default": {},
                    }
                }
            ),
            output_schema=object_schema(
                {
                    "files": {"type": "array", "description": "All files, in order.", "items": artifact_schema("A file.", kind="file")},
                    "outputs": {
                        "type": "array",
                        "description": "By node: `node`, its `files` and its `texts`.",
                        "items": {"type": "object"},
                    },
                    "file": artifact_schema("The file, when there is exactly one.", kind="file"),
                    "image": artifact_schema("The picture, when there is exactly one file and it is one.", kind="image"),
                },
                required=("files", "outputs"),
            ),
            example={"inputs": {"prompt": "a lighthouse in a storm, woodcut", "seed": 7}},
            config={"deployment_id": "your-deployment"},
            effects=Effects.BILLED,
            run_timeout_seconds=60,
        ),
    )

    async def run(self, request: Request) -> Submitted:
        config = read_config(request, self.config_schema)
        api = _api(request, config)

        async def give(file: GivenFile) -> str:
            return file.data_uri()

        inputs = await with_files(request, request.inputs["inputs"], give=give, max_bytes=MAX_GIVEN_BYTES)
        body: dict[str, Any] = {"deployment_id": config["deployment_id"], "inputs": inputs}
        if request.callback_url:
            body |= {"webhook": request.callback_url, "webhook_intermediate_status": config["webhook_intermediate_status"]}
        told = await api.ask("POST", "run/deployment/queue", json=body)
        with taken():
            queued = read_as(_Queued, told, host=api.host, what="queued run")
        return Submitted(job_id=queued.run_id, poll_after=config["poll_seconds"])

    async def poll(self, request: Request, job_id: str) -> Result | Progress | Lost | ToolError:
        config = read_config(request, self.config_schema)
        api = _api(request, config)
        if not job_id:
            return no_lookup(api.host)
        answer = await api.send("GET", f"run/{job_id}", expected=(HTTPStatus.NOT_FOUND,))
        if answer.status == HTTPStatus.NOT_FOUND:
            return Lost(message=f"{api.host} knows no run {job_id}.")
        return _outcome(read_as(_Run, api.json_of(answer), host=api.host, what="run"), request, config)

    async def cancel(self, request: Request, job_id: str) -> None:
        config = read_config(request, self.config_schema)
        ended = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
        await _api(request, config).send("POST", f"run/{job_id}/cancel", expected=ended)

    def read_callback(self, request: Request, payload: Any) -> Result | Progress | ToolError | None:
        config = read_config(request, self.config_schema)
        run = read_as(_Run, payload, host="ComfyDeploy", what="run")
        # Its webhooks do not tell the time that is charged, and may leave out what was made.
        is_silent = not run.is_at_work and run.seconds is None and "per_second" in request.pricing
        is_empty = run.status in SUCCEEDED and not _output(run)["outputs"]
        return None if is_silent or is_empty else _outcome(run, request, config)


def _api(request: Request, config: Mapping[str, Any]) -> ProviderApi:
    """Return the provider's API. No redirect is followed: it would take the inputs elsewhere."""
    return replace(ProviderApi.of(request, config), max_redirects=0)


class _Queued(BaseModel):
    run_id: JobId


class _Meta(BaseModel):
    node_id: str | int | None = None
    node_class: str | None = None


class _Output(BaseModel):
    data: dict[str, Any] = Field(default_factory=dict)
    node_meta: _Meta | None = None


class _Run(BaseModel):
    """What we read of a run, from its own address or from a webhook."""

    status: str = Field(max_length=100)
    live_status: str | None = None
    progress: float | None = None
    outputs: list[_Output] | None = Field(default=None, max_length=1000)
    error: Any = None
    run_duration: Duration | None = None
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None

    @property
    def is_at_work(self) -> bool:
        return self.status not in SUCCEEDED | FAILED | {"timeout", "cancelled"}

    @property
    def has_just_ended(self) -> bool:
        """Tell whether outputs may still come: ComfyDeploy stores them beside the status, not with it."""
        return self.ended_at is not None and abs((datetime.now(UTC) - self.ended_at).total_seconds()) < OUTPUTS_COME_WITHIN_SECONDS

    @property
    def seconds(self) -> Decimal | None:
        """The seconds of the machine; None while they are not known."""
        if self.run_duration is not None:
            return Decimal(str(self.run_duration))
        if isinstance(self.started_at, datetime) and isinstance(self.ended_at, datetime):
            return max(Decimal(0), Decimal(str((self.ended_at - self.started_at).total_seconds())))
        return None


def _outcome(run: _Run, request: Request, config: Mapping[str, Any]) -> Result | Progress | ToolError:
    """Return what became of a run. A status that nobody knows counts as at work, until the job's deadline."""
    if run.is_at_work:
        if run.status not in AT_WORK:
            logger.warning("ComfyDeploy tells of a status that is not known: %r", run.status)
        return _progress(run, config)
    cost = _cost(run, request)
    if run.status in SUCCEEDED:
        return _success(run, config, cost=cost)
    if run.status == "cancelled":
        return ToolError("The run was cancelled at ComfyDeploy.", code="cancelled", permanent=True, cost=cost)
    if run.status == "timeout":
        return ToolError("The workflow worked longer than its machine lets it.", code="timed_out", permanent=True, cost=cost)
    return ToolError(f"The workflow failed: {_words(run)}", code="provider_failed", cost=cost)


def _success(run: _Run, config: Mapping[str, Any], *, cost: Cost | None) -> Result | Progress | ToolError:
    output = _output(run)
    if output["outputs"]:
        return Result(output=output, cost=cost)
    if run.has_just_ended:
        return Progress(stage="waiting for its outputs", poll_after=config["poll_seconds"])
    return ToolError("The workflow ended without an output.", code="empty_answer", permanent=True, cost=cost)


def _cost(run: _Run, request: Request) -> Cost | None:
    """Return what the machine's seconds cost. A run that was stopped before its start had none."""
    seconds = run.seconds
    if seconds is None and run.status == "cancelled" and run.started_at is None:
        seconds = Decimal(0)
    return None if seconds is None else charge(request, {"per_second": seconds})


def _progress(run: _Run, config: Mapping[str, Any]) -> Progress:
    percent = None
    if run.progress is not None and 0 <= run.progress <= 1:
        percent = run.progress * 100
    stage = run.live_status or run.status.replace("-", " ")
    return Progress(percent=percent, stage=clean_text(stage[:200]), poll_after=config["poll_seconds"])


def _words(run: _Run) -> str:
    """Return why a run failed: as it says itself, or as the outputs of its nodes do."""
    told = [run.error, *(output.data.get("error") for output in run.outputs or ()), run.live_status]
    for each in told:
        words = each.get("message") or each.get("exception_message") if isinstance(each, dict) else each
        if isinstance(words, str) and words.strip():
            return clean_text(words.strip()[:MAX_WORDS])
    return "It gives no reason."


def _output(run: _Run) -> dict[str, Any]:
    """Return the files of all nodes, those that were only looked at while it worked left out."""
    files: list[RemoteFile] = []
    outputs = []
    for number, told in enumerate(run.outputs or (), start=1):
        made = list(dict.fromkeys(_files(told.data)))
        texts = [clean_text(text) for text in _texts(told.data.get("text"))]
        files += [file for file in made if file not in files]
        node = str(told.node_meta.node_id) if told.node_meta and told.node_meta.node_id is not None else str(number)
        if made or texts:
            outputs.append({"node": clean_text(node[:100]), "files": made, "texts": texts})
    output: dict[str, Any] = {"files": files, "outputs": outputs}
    if len(files) == 1:
        output["file"] = files[0]
        if _is_picture(files[0]):
            output["image"] = files[0]
    return output


def _files(data: Mapping[str, Any]) -> Iterator[RemoteFile]:
    for kind in KINDS:
        listed = data.get(kind)
        for told in listed if isinstance(listed, list) else []:
            url = told.get("url") if isinstance(told, dict) else told
            if isinstance(url, str) and url.startswith(("https://", "http://", "data:")) and not _is_passing(told):
                name = told.get("filename") if isinstance(told, dict) else ""
                yield RemoteFile(url=url, name=clean_text(name[:200]) if isinstance(name, str) else "")


def _is_passing(told: Any) -> bool:
    return isinstance(told, dict) and told.get("type") == "temp"


def _texts(told: Any) -> Iterator[str]:
    for text in told if isinstance(told, list) else [told]:
        if isinstance(text, str) and text:
            yield text


def _is_picture(file: RemoteFile) -> bool:
    """Tell whether a file is a picture, by its name: it has not been fetched yet."""
    return (guess_type(file.name or file.url.partition("?")[0])[0] or "").startswith("image/")
