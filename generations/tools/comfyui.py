"""comfyui: workflows at a ComfyUI server, which does one after the other and remembers them until it is restarted.

The workflow's id is ours, the call's idempotency key, so that it can be found again after an answer was lost. Queue and
history together are the truth; a websocket only tells progress.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, ClassVar
from urllib.parse import quote

from spells.models.tool import Effects, Recovery
from spells.problems import Problem

from .comfyui_definitions import BASE_URL, DEFINITIONS
from .comfyui_history import outcome
from .comfyui_progress import Listening, listen, socket
from .comfyui_workflow import PLACE, refusal, workflow_problems
from .configuration import read_config
from .contract import Adapter, Lost, Progress, Request, Result, Submitted, ToolDefinition, ToolError
from .file_fetch import mime_type_of
from .given_files import GivenFile, free_of_charge, multipart, with_files
from .param_templates import filled
from .provider_api import ProviderApi, provider_schema
from .threads import keep_async

logger = logging.getLogger(__name__)

# The queue tells each workflow that waits, whole.
MAX_QUEUE_BYTES = 64 * 2**20
# After a while of listening, the next is soon.
SOON_SECONDS = 0.2
FIRST_LOOK_SECONDS = 1.0


class ComfyUI(Adapter):
    """Runs a workflow."""

    key = "comfyui"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = DEFINITIONS
    config_schema: ClassVar[Mapping[str, Any]] = provider_schema(
        {
            "workflow": {
                "type": "object",
                "description": "The workflow as ComfyUI exports it for its API, with {{ }} over inputs and seed.",
            },
            "input_schema": {"type": "object", "description": "The JSON Schema of the tool's params."},
            "output_nodes": {
                "type": "array",
                "description": "The ids of the nodes whose outputs are kept. Empty: all.",
                "items": {"type": "string", "maxLength": 100},
                "maxItems": 100,
                "default": [],
            },
            "listen_seconds": {
                "type": "number",
                "description": "How long to listen to the websocket at each look at a workflow that is at work. 0: not at all.",
                "minimum": 0,
                "maximum": 60,
                "default": 5,
            },
            "billed": {"type": "boolean", "description": "Whether the machine is paid for by time, as a rented one is.", "default": False},
        },
        base_url=BASE_URL,
        api_key_env="",
        required=("workflow", "input_schema"),
    )

    def config_problems(self, config: Mapping[str, Any]) -> list[Problem]:
        return workflow_problems(config)

    def declares(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        billed = {"effects": Effects.BILLED, "recovery": Recovery.LOOKUP} if config.get("billed") else {}
        return {"input_schema": config["input_schema"], **billed}

    def file_headers(self, request: Request) -> Mapping[str, str]:
        return ProviderApi.of(request, read_config(request, self.config_schema)).secret_headers

    def file_prefixes(self, request: Request) -> Sequence[str]:
        return ProviderApi.of(request, read_config(request, self.config_schema)).prefixes(["view?"])

    async def run(self, request: Request) -> Submitted:
        config, api = self._api(request)
        problems = workflow_problems(config)
        if problems:
            raise ToolError(f"The tool {request.tool} is not configured right: {problems[0]}.", code="bad_config", permanent=True)
        prompt_id = str(request.idempotency_key)
        if request.attempt > 1 and await _find(api, prompt_id) is not None:
            return Submitted(job_id=prompt_id, poll_after=FIRST_LOOK_SECONDS)  # an earlier try arrived; posted again, it would run again

        async def give(file: GivenFile) -> str:
            return await _upload(api, file)

        inputs = await with_files(request, dict(request.inputs), give=give)
        workflow = filled(request, config["workflow"], place=PLACE, inputs=inputs)
        return Submitted(job_id=await _submit(api, workflow, prompt_id=prompt_id), poll_after=FIRST_LOOK_SECONDS)

    async def poll(self, request: Request, job_id: str) -> Result | Progress | Lost | ToolError:
        config, api = self._api(request)
        prompt_id = job_id or str(request.idempotency_key)
        found = await _find(api, prompt_id)
        if found is None:
            return Lost(message=f"{api.host} knows nothing of the workflow, as after a restart.")
        if not isinstance(found, int):
            return outcome(request, api, found, nodes=config["output_nodes"])
        if found:
            return Progress(stage=f"queued, {found} ahead", poll_after=config["poll_seconds"])
        return await self._follow(request, config, api, prompt_id)

    async def cancel(self, request: Request, job_id: str) -> None:
        """Take a workflow out of the queue, or interrupt it if it is the one at work: older servers interrupt whichever is."""
        _, api = self._api(request)
        await _stop(api, job_id or str(request.idempotency_key))

    def _api(self, request: Request) -> tuple[dict[str, Any], ProviderApi]:
        config = read_config(request, self.config_schema)
        return config, ProviderApi.of(request, config)

    async def _follow(self, request: Request, config: Mapping[str, Any], api: ProviderApi, prompt_id: str) -> Result | Progress | ToolError:
        """Listen for a while to a workflow that is at work."""
        heard = Listening(prompt_id=prompt_id, workflow=config["workflow"])
        seconds = min(config["listen_seconds"], request.timeout_seconds / 2)
        if seconds > 0:
            async with socket(api, client_id=prompt_id) as connection:
                # what ended before the socket was open is not told by it
                if connection is not None and await _ahead(api, prompt_id) == 0:
                    await listen(connection, heard, seconds=seconds)
        entry = await _entry(api, prompt_id)
        if entry is not None:
            return outcome(request, api, entry, nodes=config["output_nodes"])
        preview = None
        if heard.preview:
            preview = await keep_async(request, heard.preview, mime_type=mime_type_of(heard.preview[:64], claimed=""), name="preview")
        again = SOON_SECONDS if heard.done or heard.ended else config["poll_seconds"]
        return Progress(percent=heard.percent, stage=heard.stage or "at work", poll_after=again, preview=preview)


async def _submit(api: ProviderApi, workflow: Mapping[str, Any], *, prompt_id: str) -> str:
    """Queue a workflow and return its id: ours, or that of a server too old to take one.

    Raises:
        ToolError: permanent, `bad_workflow`, naming nodes and inputs: all of it was refused, or a part, and then the
            rest is taken out of the queue again.
    """
    # The websocket of a client hears of its own workflows only: each has its own client.
    order = {"prompt": workflow, "prompt_id": prompt_id, "client_id": prompt_id}
    answer = await api.send("POST", "prompt", json=order, expected=(400,))
    told = api.json_of(answer)
    if not answer.is_success:
        raise ToolError(f"ComfyUI refused the workflow. {refusal(told, workflow)}", code="bad_workflow", permanent=True)
    if not isinstance(told, Mapping) or not isinstance(told.get("prompt_id"), str):
        raise ToolError(f"The answer of {api.host} names no workflow.", code="bad_answer", ambiguous=True)
    if told.get("node_errors"):
        try:
            await _stop(api, told["prompt_id"])
            stopped = "the rest was cancelled"
        except ToolError as error:
            logger.warning("A workflow that ComfyUI took in part could not be cancelled: %s", error)
            stopped = f"the rest could not be cancelled: {error.message}"
        message = f"ComfyUI took only a part of the workflow ({stopped}). {refusal(told, workflow)}"
        raise ToolError(message, code="bad_workflow", permanent=True)
    return str(told["prompt_id"])


async def _upload(api: ProviderApi, file: GivenFile) -> str:
    """Upload a file under a name of its own, and return what a node calls it. The same bytes have the same name."""
    name = f"grimoire-{hashlib.sha256(file.data).hexdigest()[:40]}{PurePosixPath(file.name).suffix}"
    content, headers = multipart("image", replace(file, name=name), overwrite="true", type="input")
    with free_of_charge():
        told = await api.ask("POST", "upload/image", content=content, headers=headers)
    if not isinstance(told, Mapping) or not isinstance(told.get("name"), str):
        raise ToolError(f"The answer of {api.host} names no uploaded file.", code="bad_answer")
    subfolder = told.get("subfolder")
    return f"{subfolder}/{told['name']}" if isinstance(subfolder, str) and subfolder else str(told["name"])


async def _entry(api: ProviderApi, prompt_id: str) -> Mapping[str, Any] | None:
    """Return what the history has of a workflow: None until it ended."""
    told = await api.ask("GET", f"history/{quote(prompt_id, safe='')}")
    entry = told.get(prompt_id) if isinstance(told, Mapping) else None
    return entry if isinstance(entry, Mapping) else None


async def _ahead(api: ProviderApi, prompt_id: str) -> int | None:
    """Return how many workflows are ahead in the queue: 0 for the one at work, None for one that is not there."""
    told = await api.ask("GET", "queue", max_bytes=MAX_QUEUE_BYTES)
    if not isinstance(told, Mapping):
        raise ToolError(f"The answer of {api.host} is no queue.", code="bad_answer")
    running, pending = (_places(told.get(name)) for name in ("queue_running", "queue_pending"))
    if prompt_id in {id_ for _, id_ in running}:
        return 0
    mine = next((number for number, id_ in pending if id_ == prompt_id), None)
    return None if mine is None else max(1, len(running) + sum(number < mine for number, _ in pending))


def _places(entries: Any) -> list[tuple[float, str]]:
    """Return number and id of each workflow in a part of the queue."""
    return [
        (entry[0], entry[1])
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, list) and len(entry) > 1 and isinstance(entry[0], int | float) and isinstance(entry[1], str)
    ]


async def _find(api: ProviderApi, prompt_id: str) -> Mapping[str, Any] | int | None:
    """Return what became of a workflow, or else how many are ahead of it; None when the server knows nothing of it."""
    entry = await _entry(api, prompt_id)
    if entry is None and (ahead := await _ahead(api, prompt_id)) is not None:
        return ahead
    return await _entry(api, prompt_id) if entry is None else entry  # it may have ended between the two looks


async def _stop(api: ProviderApi, prompt_id: str) -> None:
    if await _ahead(api, prompt_id) != 0:
        await api.send("POST", "queue", json={"delete": [prompt_id]})
    if await _ahead(api, prompt_id) == 0:
        await api.send("POST", "interrupt", json={"prompt_id": prompt_id})
