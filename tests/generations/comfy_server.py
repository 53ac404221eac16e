"""A small ComfyUI: its routes, validation, queue, history in memory and websocket, with a handful of nodes that paint little."""

import asyncio
import email.policy
import io
import json
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any
from uuid import uuid4

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

CHECKPOINTS = ["v1-5-pruned-emaonly.safetensors"]
# Required inputs of each class, with what validation looks at: a list of choices, bounds, or a type.
CLASSES: dict[str, dict[str, Any]] = {
    "CheckpointLoaderSimple": {"ckpt_name": CHECKPOINTS},
    "CLIPTextEncode": {"clip": "link", "text": str},
    "EmptyLatentImage": {"width": (16, 16384), "height": (16, 16384), "batch_size": (1, 4096)},
    "KSampler": {"model": "link", "latent_image": "link", "seed": (0, 2**64 - 1), "steps": (1, 10000)},
    "VAEDecode": {"samples": "link", "vae": "link"},
    "LoadImage": {"image": "upload"},
    "UpscaleModelLoader": {"model_name": ["RealESRGAN_x4plus.pth"]},
    "ImageUpscaleWithModel": {"upscale_model": "link", "image": "link"},
    "SaveImage": {"images": "link", "filename_prefix": str},
    "PreviewImage": {"images": "link"},
    "ShowText": {"text": str},
    "SaveAudio": {"filename_prefix": str},
    "Explode": {"kind": str},
}
OUTPUTS = frozenset({"SaveImage", "PreviewImage", "ShowText", "SaveAudio", "Explode"})


class Interrupted(Exception):
    """Somebody interrupted the workflow."""


@dataclass
class ComfyServer:
    """What the server knows. `open` lets samplers go on; `forget` is what a restart does."""

    url: str = ""
    key: str = ""
    knows_prompt_ids: bool = True
    open: threading.Event = field(default_factory=threading.Event)
    pending: list[list[Any]] = field(default_factory=list)
    running: list[list[Any]] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)
    files: dict[tuple[str, str], Any] = field(default_factory=dict)
    posted: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[dict[str, Any]] = field(default_factory=list)
    sockets: dict[str, WebSocket] = field(default_factory=dict)
    listeners: list[str] = field(default_factory=list)
    interrupts: list[Any] = field(default_factory=list)
    lose_answers: bool = False
    interrupted: bool = False
    number: int = 0

    def forget(self) -> None:
        self.interrupted = bool(self.running)
        self.pending.clear()
        self.running.clear()
        self.history.clear()

    # Routes

    def routes(self) -> list[Any]:
        return [
            Route("/prompt", self._post_prompt, methods=["POST"]),
            Route("/queue", self._get_queue),
            Route("/queue", self._post_queue, methods=["POST"]),
            Route("/history/{id}", self._get_history),
            Route("/interrupt", self._interrupt, methods=["POST"]),
            Route("/upload/image", self._upload, methods=["POST"]),
            Route("/view", self._view),
            WebSocketRoute("/ws", self._listen),
        ]

    def _refused(self, request: Request) -> Response | None:
        wanted = f"Bearer {self.key}" if self.key else None
        return PlainTextResponse("no", 401) if wanted and request.headers.get("authorization") != wanted else None

    async def _post_prompt(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        try:
            told = await request.json()
        except ValueError:
            return PlainTextResponse("500 Internal Server Error\n\nServer got itself in trouble", 500)
        if "prompt" not in told:
            error = {"type": "no_prompt", "message": "No prompt provided", "details": "No prompt provided", "extra_info": {}}
            return JSONResponse({"error": error, "node_errors": {}}, 400)
        self.posted.append(told)
        error, outputs, node_errors = self._validated(told["prompt"])
        if error:
            return JSONResponse({"error": error, "node_errors": node_errors}, 400)
        id_ = str(told["prompt_id"]) if self.knows_prompt_ids and "prompt_id" in told else str(uuid4())
        self.pending.append([self.number, id_, told["prompt"], {"client_id": told.get("client_id")}, outputs])
        self.number += 1
        if self.lose_answers:
            raise ConnectionResetError("the answer is lost")
        return JSONResponse({"prompt_id": id_, "number": self.number - 1, "node_errors": node_errors})

    async def _get_queue(self, request: Request) -> Response:
        return self._refused(request) or JSONResponse({"queue_running": self.running, "queue_pending": self.pending})

    async def _post_queue(self, request: Request) -> Response:
        for id_ in (await request.json()).get("delete", []):
            self.pending[:] = [entry for entry in self.pending if entry[1] != id_]
        return Response()

    async def _get_history(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        return self._refused(request) or JSONResponse({id_: self.history[id_]} if id_ in self.history else {})

    async def _interrupt(self, request: Request) -> Response:
        body = await request.body()
        wanted = json.loads(body).get("prompt_id") if body else None
        self.interrupts.append(wanted)
        if wanted is None or wanted in [entry[1] for entry in self.running]:
            self.interrupted = True
        return Response()

    async def _upload(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        raw = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode() + await request.body()
        form = {
            part.get_param("name", header="content-disposition"): part
            for part in BytesParser(policy=email.policy.HTTP).parsebytes(raw).iter_parts()
        }
        image = form["image"]
        name, data = str(image.get_filename()), image.get_payload(decode=True)
        self.uploads.append({"name": name, "data": data, "overwrite": form["overwrite"].get_payload() if "overwrite" in form else None})
        self.files["input", name] = data
        return JSONResponse({"name": name, "subfolder": "", "type": "input"})

    async def _view(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        data = self.files.get((request.query_params.get("type", "output"), request.query_params["filename"]))
        return Response(status_code=404) if data is None else Response(data, media_type="application/octet-stream")

    async def _listen(self, ws: WebSocket) -> None:
        if self.key and ws.headers.get("authorization") != f"Bearer {self.key}":
            await ws.close()
            return
        await ws.accept()
        id_ = ws.query_params.get("clientId") or uuid4().hex
        self.sockets[id_] = ws
        self.listeners.append(id_)
        await self._tell(id_, "status", {"status": {"exec_info": {"queue_remaining": len(self.pending) + len(self.running)}}, "sid": id_})
        try:
            while True:
                await ws.receive_text()
        except WebSocketDisconnect:
            pass
        finally:
            if self.sockets.get(id_) is ws:
                del self.sockets[id_]

    async def _tell(self, client: str, event: str, data: dict[str, Any]) -> None:
        if client in self.sockets:
            await self.sockets[client].send_text(json.dumps({"type": event, "data": data}))

    # Validation, as execution.py does it

    def _validated(self, prompt: Any) -> tuple[dict[str, Any] | None, list[str], dict[str, Any]]:
        for node, inside in prompt.items():
            if inside.get("class_type") not in CLASSES:
                message = f"Cannot execute because node {inside.get('class_type')} does not exist."
                error = {"type": "invalid_prompt", "message": message, "details": f"Node ID '#{node}'", "extra_info": {}}
                return error, [], {}
        outputs = [node for node, inside in prompt.items() if inside["class_type"] in OUTPUTS]
        if not outputs:
            return {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": "", "extra_info": {}}, [], {}
        node_errors: dict[str, Any] = {}
        good = []
        for output in outputs:
            bad = {node: errors for node in self._reached(prompt, output) if (errors := self._faults(prompt, node))}
            for node, errors in bad.items():
                entry = node_errors.setdefault(node, {"errors": errors, "dependent_outputs": [], "class_type": prompt[node]["class_type"]})
                entry["dependent_outputs"].append(output)
            good += [] if bad else [output]
        if not good:
            error = {
                "type": "prompt_outputs_failed_validation",
                "message": "Prompt outputs failed validation",
                "details": "",
                "extra_info": {},
            }
            return error, [], node_errors
        return None, good, node_errors

    def _reached(self, prompt: Any, output: str) -> list[str]:
        reached, stack = [], [output]
        while stack:
            node = stack.pop()
            if node not in reached:
                reached.append(node)
                stack += [value[0] for value in prompt[node]["inputs"].values() if isinstance(value, list) and isinstance(value[0], str)]
        return reached[::-1]

    def _faults(self, prompt: Any, node: str) -> list[dict[str, Any]]:
        faults, inputs = [], prompt[node]["inputs"]
        for name, rule in CLASSES[prompt[node]["class_type"]].items():
            if name not in inputs:
                faults.append(_fault("required_input_missing", "Required input is missing", name, name))
                continue
            value = inputs[name]
            if isinstance(rule, list) and value not in rule:
                faults.append(_fault("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {rule}", name))
            elif isinstance(rule, tuple) and not isinstance(value, int):
                faults.append(_fault("invalid_input_type", "Failed to convert an input value to a INT value", f"{name}, {value}", name))
            elif isinstance(rule, tuple) and value < rule[0]:
                faults.append(_fault("value_smaller_than_min", f"Value {value} smaller than min of {rule[0]}", name, name))
            elif rule == "upload" and ("input", value) not in self.files:
                faults.append(
                    _fault("custom_validation_failed", "Custom validation failed for node", f"{name} - Invalid image file: {value}", name)
                )
        return faults

    # Execution

    async def work(self) -> None:
        while True:
            if self.pending:
                self.running.append(min(self.pending, key=lambda entry: entry[0]))
                self.pending.remove(self.running[0])
                await self._execute(self.running[0])
            await asyncio.sleep(0.005)

    async def _execute(self, entry: list[Any]) -> None:
        _, id_, prompt, extra, wanted = entry
        client, messages, outputs = str(extra.get("client_id")), [], {}

        async def say(event: str, **data: Any) -> None:
            data = {"prompt_id": id_, "timestamp": int(time.time() * 1000), **data}
            if event.startswith("execution"):
                messages.append([event, data])
            await self._tell(client, event, data)

        await say("execution_start")
        await say("execution_cached", nodes=[])
        completed, node = False, ""
        try:
            for node in list(dict.fromkeys(node for output in wanted for node in self._reached(prompt, output))):
                await say("executing", node=node, display_node=node)
                shown = await self._run(prompt[node], node, say, client)
                if shown:
                    outputs[node] = shown
                    await say("executed", node=node, display_node=node, output=shown)
            await say("execution_success")
            completed = True
        except Interrupted:
            await say("execution_interrupted", node_id=node, node_type=prompt[node]["class_type"], executed=[])
        except (RuntimeError, MemoryError) as error:
            kind = "torch.OutOfMemoryError" if isinstance(error, MemoryError) else "RuntimeError"
            details = {"exception_type": kind, "exception_message": str(error), "traceback": ["  File x\n"]}
            await say("execution_error", node_id=node, node_type=prompt[node]["class_type"], executed=[], **details)
        self.interrupted = False
        if entry in self.running:
            self.running.remove(entry)
            status = {"status_str": "success" if completed else "error", "completed": completed, "messages": messages}
            self.history[id_] = {"prompt": entry, "outputs": outputs, "status": status, "meta": {}}
        await self._tell(client, "executing", {"node": None, "prompt_id": id_})

    async def _run(self, node: dict[str, Any], name: str, say: Any, client: str) -> dict[str, Any] | None:
        inputs = node["inputs"]
        match node["class_type"]:
            case "KSampler":
                await self._sample(inputs["steps"], name, say, client)
            case "SaveImage":
                return {"images": [self._saved(f"{inputs['filename_prefix']}_{self.number:05}_.png", "output", picture())]}
            case "PreviewImage":
                return {"images": [self._saved(f"ComfyUI_temp_{self.number:05}_.png", "temp", picture())]}
            case "ShowText":
                return {"text": [inputs["text"]]}
            case "SaveAudio":
                return {"audio": [self._saved(f"{inputs['filename_prefix']}.flac", "output", b"fLaC sound")]}
            case "Explode" if inputs["kind"] == "memory":
                raise MemoryError("Allocation on device")
            case "Explode" if inputs["kind"] == "bug":
                raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return None

    async def _sample(self, steps: int, name: str, say: Any, client: str) -> None:
        for step in range(1, steps + 1):
            while step == steps and not self.open.is_set() and not self.interrupted:
                await say("progress", node=name, value=step - 1, max=steps)
                if client in self.sockets:
                    await self.sockets[client].send_bytes(struct.pack(">II", 1, 2) + picture(4))
                await asyncio.sleep(0.01)
            if self.interrupted:
                raise Interrupted
            await say("progress", node=name, value=step, max=steps)

    def _saved(self, name: str, kind: str, data: bytes) -> dict[str, str]:
        self.files[kind, name] = data
        return {"filename": name, "subfolder": "", "type": kind}


def _fault(kind: str, message: str, details: str, name: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {"input_name": name}}


def picture(side: int = 16) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "#336699").save(out, "PNG")
    return out.getvalue()


@contextmanager
def comfy_server(**values: Any) -> Iterator[ComfyServer]:
    """Serve on a free port until the block is left."""
    server = ComfyServer(**values)
    server.open.set()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        worker = asyncio.create_task(server.work())
        yield
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    listener = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = Starlette(routes=server.routes(), lifespan=lifespan)
    config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=1, lifespan="on")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.open.set()
        running.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()
