"""gradio: a function of a Gradio app, as those of HuggingFace Spaces, called by its HTTP API.

The app forgets a call whose listener went away, so a call is made in one go: files up, call, events until the end.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from generations.outputs import clean_text
from spells.models.tool import Effects
from spells.problems import Problem

from .configuration import read_config
from .contract import Adapter, Progress, Request, Result, ToolDefinition, ToolError
from .definition import object_schema, text_schema
from .event_stream import EventReader, EventTooLarge
from .given_files import GivenFile, free_of_charge, multipart, with_files
from .gradio_answers import OUTPUT_SCHEMA, ReturnedFiles, failure
from .json_parse import BadJson, parse_json
from .param_templates import filled, template_problems
from .pricing import charge
from .provider_answers import taken
from .provider_api import ProviderApi, provider_schema

PLACE = "config.data"
PREFIX = "gradio_api/"
MAX_STREAM_BYTES = 128 * 2**20

_INPUTS = object_schema({"prompt": text_schema("What to paint.", max_length=4000, minLength=1)}, required=("prompt",))


class Gradio(Adapter):
    """Calls a function of a Gradio app."""

    key = "gradio"
    config_schema: ClassVar[Mapping[str, Any]] = provider_schema(
        {
            "function": {
                "type": "string",
                "description": "The function's API name, as `Use via API` of the app shows it.",
                "pattern": "^/?[A-Za-z0-9_.-]{1,100}$",
                "default": "predict",
            },
            "data": {
                "type": "array",
                "description": "The function's arguments in order, with {{ }} over inputs and seed.",
                "items": {"description": "An argument."},
                "maxItems": 200,
            },
            "input_schema": {"type": "object", "description": "The JSON Schema of the tool's params."},
            "billed": {"type": "boolean", "description": "Whether a call costs money.", "default": False},
        },
        base_url="http://127.0.0.1:7860",
        api_key_env="",
        required=("data", "input_schema"),
    )
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="gradio",
            name="Call a Gradio app",
            description="Calls a function of a Gradio app or HuggingFace Space: this one paints a picture from a prompt. Another is another tool.",
            category="image",
            input_schema=_INPUTS,
            output_schema=OUTPUT_SCHEMA,
            example={"prompt": "a lighthouse at dusk"},
            config={"base_url": "http://127.0.0.1:7860", "function": "predict", "data": ["{{ inputs.prompt }}"], "input_schema": _INPUTS},
            run_timeout_seconds=600,
        ),
    )

    def config_problems(self, config: Mapping[str, Any]) -> list[Problem]:
        return template_problems(config["data"], place=PLACE, schema=config["input_schema"])

    def declares(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"input_schema": config["input_schema"], **({"effects": Effects.BILLED} if config.get("billed") else {})}

    def file_headers(self, request: Request) -> Mapping[str, str]:
        return ProviderApi.of(request, read_config(request, self.config_schema)).secret_headers

    def file_prefixes(self, request: Request) -> Sequence[str]:
        return ProviderApi.of(request, read_config(request, self.config_schema)).prefixes([f"{PREFIX}file=", "file="])

    async def run(self, request: Request) -> Result:
        config = read_config(request, self.config_schema)
        app = _App(ProviderApi.of(request, config))
        inputs = await with_files(request, dict(request.inputs), give=app.upload)
        data = filled(request, config["data"], place=PLACE, inputs=inputs)
        cost = charge(request, {"per_call": 1})
        returned = await app.call(request, config["function"].removeprefix("/"), data)
        files = ReturnedFiles(base_url=app.api.base_url, file_url=app.file_url)
        with taken(cost):
            try:
                output = files.output(_list_in(returned, host=app.api.host))
            except RecursionError as error:
                raise ToolError(f"{app.api.host} returned what is nested too deep.", code="bad_answer", permanent=True) from error
        return Result(output=output, cost=cost)


def _list_in(returned: str, *, host: str) -> list[Any]:
    """Return the values that a function returned. Raises ToolError, permanent: they are none."""
    try:
        values = parse_json(returned)
    except BadJson as error:
        raise ToolError(f"{host} returned what is not JSON: {error}.", code="bad_answer", permanent=True) from error
    if not isinstance(values, list):
        raise ToolError(f"{host} returned no list of values: {clean_text(returned[:200])}", code="bad_answer", permanent=True)
    return values


class _App:
    """A Gradio app. Its API is below `gradio_api/`; before release 5 it was not below anything."""

    def __init__(self, api: ProviderApi) -> None:
        """Take where it is; which of both it has is found out by the first request."""
        self.api = api
        self._prefix = PREFIX

    def file_url(self, path: str) -> str:
        return self.api.url(f"{self._prefix}file={quote(path)}")

    async def upload(self, file: GivenFile) -> dict[str, Any]:
        """Upload a file and return what stands for it in arguments."""
        content, headers = multipart("files", file)
        with free_of_charge():
            paths = await self._post("upload", content=content, headers=headers)
        if not isinstance(paths, list) or len(paths) != 1 or not isinstance(paths[0], str):
            raise ToolError(f"The answer of {self.api.host} names no uploaded file.", code="bad_answer")
        return {"path": paths[0], "orig_name": file.name, "mime_type": file.mime_type, "meta": {"_type": "gradio.FileData"}}

    async def call(self, request: Request, function: str, data: list[Any]) -> str:
        """Call a function and return what it returns, in JSON, once its event stream says so."""
        path = f"call/{quote(function, safe='')}"
        told = await self._post(path, json={"data": data})
        event_id = told.get("event_id") if isinstance(told, Mapping) else None
        if not isinstance(event_id, str) or not event_id:
            raise ToolError(f"The answer of {self.api.host} names no event.", code="bad_answer", ambiguous=True)
        ending = _Ending(request, host=self.api.host)
        try:
            await self.api.send(
                "GET", f"{self._prefix}{path}/{quote(event_id, safe='')}", sink=ending.take, max_bytes=MAX_STREAM_BYTES,
                headers={"Accept": "text/event-stream"},
            )  # fmt: skip
        except _Ended:
            return ending.returned
        except ToolError as error:
            # the function is at work, whatever became of the connection
            error.ambiguous = error is not ending.failure
            raise
        raise ToolError(f"{self.api.host} ended the stream of events before the call.", code="connection_lost", ambiguous=True)

    async def _post(self, path: str, **options: Any) -> Any:
        try:
            return await self.api.ask("POST", f"{self._prefix}{path}", **options)
        except ToolError as error:
            if error.code != "not_found" or not self._prefix:
                raise
            self._prefix = ""
            try:
                return await self.api.ask("POST", path, **options)
            except ToolError as second:
                raise (error if second.code == "not_found" else second) from error


class _Ended(Exception):
    """The call has ended, and nothing more is to be read."""


class _Ending:
    """Listens to the events of a call until it has ended."""

    def __init__(self, request: Request, *, host: str) -> None:
        """Take the call, whose listener is told that it is at work."""
        self._request = request
        self._host = host
        self._reader = EventReader()
        self.returned = ""
        self.failure: ToolError | None = None

    async def take(self, chunk: bytes) -> None:
        """Take bytes of the stream. Raises _Ended after the end, ToolError for a failure, which is also kept."""
        try:
            for name, data in self._reader.read(chunk):
                self._hear(name, data)
        except EventTooLarge as error:
            raise ToolError(f"{self._host} sent an event that is too large.", code="too_large", permanent=True) from error

    def _hear(self, name: str, data: str) -> None:
        if name == "generating":
            self._request.on_progress(Progress(stage="generating"))
        elif name == "error":
            self.failure = failure(_words_in(data))
            raise self.failure
        elif name == "complete":
            self.returned = data
            raise _Ended


def _words_in(data: str) -> Any:
    try:
        return parse_json(data)
    except BadJson:
        return data
