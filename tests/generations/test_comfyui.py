"""comfyui, against a server that behaves as ComfyUI does."""

import asyncio
import json
import re
import struct
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from generations import keeping
from generations.artifacts import open_stored
from generations.tools import registry
from generations.tools.comfyui_definitions import DEFINITIONS
from generations.tools.comfyui_progress import Listening
from generations.tools.contract import Lost, Progress, Request, Result, Submitted, ToolError
from generations.unfetched import Unfetched
from spells.schemas import check

from .comfy_server import ComfyServer, comfy_server, picture
from .toolbox import definitions, keep, request_for
from .website import website

PAINT, UPSCALE = (definition.config for definition in DEFINITIONS)
NOTHING: dict[str, Any] = {"type": "object", "additionalProperties": True}


@pytest.fixture
def comfy():
    with comfy_server() as server:
        yield server


def config_for(comfy: ComfyServer, workflow: Any = None, **values: Any) -> dict[str, Any]:
    own = dict(PAINT) if workflow is None else {"workflow": workflow, "input_schema": NOTHING}
    return {**own, "base_url": comfy.url, "poll_seconds": 0.1, "listen_seconds": 0.2, **values}


def painting(comfy: ComfyServer, *, workflow: Any = None, config: Any = None, **inputs: Any) -> Request:
    config = config_for(comfy, workflow, **(config or {}))
    return request_for("comfyui", {"prompt": "a lighthouse", "steps": 3, **inputs}, config=config)


def call(request: Request, method: str, *arguments: Any) -> Any:
    return asyncio.run(getattr(registry.get("comfyui"), method)(request, *arguments))


def submit(request: Request) -> str:
    submitted = call(request, "run")
    assert isinstance(submitted, Submitted)
    return submitted.job_id


def poll(request: Request, job_id: str) -> Any:
    answer = call(request, "poll", job_id)
    return asyncio.run(keeping.keep(answer, request=request, adapter=registry.get("comfyui"), seconds=30))


def until(request: Request, job_id: str, wanted: Any) -> Any:
    """Poll until the answer is what is wanted."""
    pause = threading.Event()
    for _ in range(500):
        answer = poll(request, job_id)
        if wanted(answer):
            return answer
        pause.wait(0.02)
    raise AssertionError(f"It did not come about; the last answer was {answer}.")


def ended(answer: Any) -> bool:
    return not isinstance(answer, Progress)


def made(request: Request) -> dict[str, Any]:
    result = until(request, submit(request), ended)
    assert isinstance(result, Result), result
    assert check(dict(result.output), definitions()["comfyui"].output_schema, path="output") == []
    return dict(result.output)


def failure(request: Request) -> ToolError:
    error = until(request, submit(request), ended)
    assert isinstance(error, ToolError), error
    return error


def refused(request: Request) -> ToolError:
    with pytest.raises(ToolError) as error:
        call(request, "run")
    return error.value


def test_a_workflow_paints_a_picture_that_is_kept(comfy):
    request = painting(comfy, seed=7)
    output = made(request)
    (posted,) = comfy.posted
    assert posted["prompt_id"] == posted["client_id"] == str(request.idempotency_key)
    assert posted["prompt"]["positive"]["inputs"]["text"] == "a lighthouse"
    assert posted["prompt"]["paint"]["inputs"]["seed"] == 7
    assert posted["prompt"]["canvas"]["inputs"]["width"] == 512
    (file,) = output["files"]
    assert (file["node"], file["kind"], file["type"]) == ("save", "images", "output")
    assert output["image"] == output["images"][0] == file["file"]
    assert file["file"]["mime_type"] == "image/png"
    assert file["file"]["source_url"].startswith(f"{comfy.url}/view?filename=grimoire_0")
    with open_stored(file["file"]["sha256"]) as stored:
        assert stored.read() == picture()


def test_without_a_seed_there_is_one_that_stays_with_the_call(comfy):
    request = painting(comfy)
    submit(request)
    submit(request)
    first, second = (posted["prompt"]["paint"]["inputs"]["seed"] for posted in comfy.posted)
    assert first == second
    submit(painting(comfy))
    assert comfy.posted[2]["prompt"]["paint"]["inputs"]["seed"] != first


def test_artefacts_are_uploaded_once_under_a_name_of_their_content(comfy):
    image = keep(picture(32))
    config = {**UPSCALE, "base_url": comfy.url}
    request = request_for("comfyui.upscale", {"image": image.reference()}, config=config, readable={image.id: image})
    until(request, submit(request), ended)
    (upload,) = comfy.uploads
    assert upload["data"] == picture(32)
    assert (upload["name"], upload["overwrite"]) == (f"grimoire-{image.sha256[:40]}.png", "true")
    assert comfy.posted[0]["prompt"]["load"]["inputs"]["image"] == upload["name"]


def test_a_strangers_artefact_is_not_uploaded(comfy):
    image = keep(picture(32))
    error = refused(request_for("comfyui.upscale", {"image": image.reference()}, config={**UPSCALE, "base_url": comfy.url}))
    assert error.code == "artifact_not_found"
    assert comfy.uploads == comfy.posted == []


SAVE = {"class_type": "SaveImage", "inputs": {"images": ["load", 0], "filename_prefix": "a"}}
LOAD = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5-pruned-emaonly.safetensors"}}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def test_all_files_and_texts_of_all_nodes_are_kept(comfy):
    workflow = {
        "load": LOAD, "save": SAVE, "sound": node("SaveAudio", filename_prefix="s"), "look": node("PreviewImage", images=["load", 0]),
        "tell": node("ShowText", text="{{ inputs.prompt }}"),
    }  # fmt: skip
    output = made(painting(comfy, workflow=workflow))
    assert [(file["node"], file["kind"], file["type"]) for file in output["files"]] == [
        ("save", "images", "output"), ("sound", "audio", "output"), ("look", "images", "temp"),
    ]  # fmt: skip
    assert output["images"] == [output["files"][0]["file"]]
    assert output["texts"] == [{"node": "tell", "text": "a lighthouse"}]


def test_only_the_nodes_that_count_are_kept(comfy):
    workflow = {"load": LOAD, "save": SAVE, "look": node("PreviewImage", images=["load", 0])}
    output = made(painting(comfy, workflow=workflow, config={"output_nodes": ["look"]}))
    assert [file["node"] for file in output["files"]] == ["look"]
    assert output["images"] == [output["files"][0]["file"]]


def test_expressions_keep_their_types_and_literals_their_value(comfy):
    workflow = {
        "tell": node("ShowText", text="{{ inputs.prompt }} at {{ inputs.width }}", width="{{ inputs.width }}", flag=True, list=[1, 2])
    }
    made(painting(comfy, workflow=workflow, width=640))
    assert comfy.posted[0]["prompt"]["tell"]["inputs"] == {"text": "a lighthouse at 640", "width": 640, "flag": True, "list": [1, 2]}


# What the server refuses


def test_a_refusal_names_nodes_and_inputs(comfy):
    workflow = {"load": node("CheckpointLoaderSimple", ckpt_name="gone.safetensors"), "save": node("SaveImage", images=["load", 0])}
    error = refused(painting(comfy, workflow=workflow))
    assert (error.code, error.permanent, error.ambiguous) == ("bad_workflow", True, False)
    assert error.message == (
        "ComfyUI refused the workflow. Prompt outputs failed validation. "
        "Node load (CheckpointLoaderSimple), input ckpt_name: Value not in list: ckpt_name: 'gone.safetensors' not in "
        "['v1-5-pruned-emaonly.safetensors']. Node save (SaveImage), input filename_prefix: Required input is missing: filename_prefix."
    )


@pytest.mark.parametrize(
    ("workflow", "words"),
    [
        ({"a": node("NoSuchNode")}, "Cannot execute because node NoSuchNode does not exist: Node ID '#a'."),
        ({"load": LOAD}, "Prompt has no outputs."),
    ],
)
def test_a_workflow_that_cannot_run_is_refused_in_words(comfy, workflow, words):
    assert words in refused(painting(comfy, workflow=workflow)).message


def test_a_workflow_that_is_valid_in_part_fails_and_its_rest_is_cancelled(comfy):
    comfy.open.clear()
    blocking = painting(comfy)
    submit(blocking)
    until(blocking, str(blocking.idempotency_key), lambda answer: answer.stage != "")
    workflow = {
        "load": LOAD,
        "save": SAVE,
        "bad": node("EmptyLatentImage", width=1, height=64, batch_size=1),
        "look": node("PreviewImage", images=["bad", 0]),
    }
    error = refused(painting(comfy, workflow=workflow))
    assert error.permanent
    assert (
        "only a part of the workflow (the rest was cancelled). Node bad (EmptyLatentImage), input width: Value 1 smaller than min of 16"
        in error.message
    )
    assert comfy.pending == []
    assert comfy.interrupts == []


def test_an_expression_without_a_value_names_its_place(comfy):
    workflow = {"tell": node("ShowText", text="{{ inputs.nothing }}")}
    error = refused(painting(comfy, workflow=workflow))
    assert (error.code, error.permanent) == ("bad_template", True)
    assert "config.workflow.tell.inputs.text: inputs has no 'nothing'" in error.message
    assert comfy.posted == []


# Failures at work


@pytest.mark.parametrize(
    ("kind", "words", "permanent"),
    [
        ("bug", "at node boom (Explode): RuntimeError: mat1 and mat2 shapes cannot be multiplied", True),
        ("memory", "at node boom (Explode): OutOfMemoryError: Allocation on device", False),
    ],
)
def test_an_error_of_a_node_is_told_in_its_words(comfy, kind, words, permanent):
    error = failure(painting(comfy, workflow={"boom": node("Explode", kind=kind)}))
    assert (error.code, error.permanent) == ("execution_failed", permanent)
    assert words in error.message
    assert error.details["traceback"] == "  File x\n"


def test_a_workflow_that_makes_nothing_is_a_failure(comfy):
    error = failure(painting(comfy, workflow={"boom": node("Explode", kind="quietly")}))
    assert (error.code, error.permanent) == ("no_output", True)


def test_an_interrupted_workflow_is_told_as_such(comfy):
    comfy.open.clear()
    request = painting(comfy)
    job_id = submit(request)
    until(request, job_id, lambda answer: "KSampler" in answer.stage)
    call(request, "cancel", job_id)
    error = until(request, job_id, ended)
    assert (error.code, error.permanent) == ("interrupted", True)
    assert "at node paint (KSampler)" in error.message
    assert comfy.interrupts == [job_id]


def test_a_queued_workflow_is_taken_out_of_the_queue_and_no_other_is_interrupted(comfy):
    comfy.open.clear()
    first, second = painting(comfy), painting(comfy)
    running, queued = submit(first), submit(second)
    until(first, running, lambda answer: "KSampler" in answer.stage)
    assert poll(second, queued) == Progress(stage="queued, 1 ahead", poll_after=0.1)
    call(second, "cancel", queued)
    assert isinstance(poll(second, queued), Lost)
    assert comfy.interrupts == []
    call(second, "cancel", queued)


def test_after_a_restart_the_workflow_is_lost(comfy):
    request = painting(comfy)
    job_id = submit(request)
    until(request, job_id, ended)
    comfy.forget()
    lost = poll(request, job_id)
    assert isinstance(lost, Lost)
    assert "knows nothing of the workflow" in lost.message


# Lost answers


def test_a_workflow_whose_answer_was_lost_is_found_by_the_key_of_the_call(comfy):
    comfy.lose_answers = True
    request = painting(comfy)
    error = refused(request)
    assert error.ambiguous or error.code == "provider_error"
    assert isinstance(until(request, "", ended), Result)


def test_a_call_that_is_made_again_does_not_run_again_what_arrived(comfy):
    request = painting(comfy)
    submit(request)
    config = config_for(comfy)
    again = request_for("comfyui", {"prompt": "a lighthouse", "steps": 3}, config=config)
    object.__setattr__(again, "attempt", 2)
    object.__setattr__(again, "idempotency_key", request.idempotency_key)
    assert submit(again) == str(request.idempotency_key)
    assert len(comfy.posted) == 1


def test_a_look_up_of_what_never_arrived_says_so(comfy):
    assert isinstance(poll(painting(comfy), ""), Lost)


def test_a_server_that_takes_no_ids_names_its_own():
    with comfy_server(knows_prompt_ids=False) as comfy:
        request = painting(comfy)
        job_id = submit(request)
        assert job_id != str(request.idempotency_key)
        assert isinstance(until(request, job_id, ended), Result)


# Progress


def test_progress_and_a_preview_come_by_the_websocket(comfy):
    comfy.open.clear()
    request = painting(comfy)
    job_id = submit(request)
    progress = until(request, job_id, lambda answer: answer.preview is not None and answer.percent)
    assert progress.stage == "KSampler (2 of 3)"
    assert 60 < progress.percent < 100
    with open_stored(progress.preview["sha256"]) as stored:
        assert stored.read() == picture(4)
    assert comfy.listeners[0] == job_id


def test_without_the_websocket_polls_are_enough(comfy):
    comfy.open.clear()
    request = painting(comfy, config={"listen_seconds": 0})
    job_id = submit(request)
    until(request, job_id, lambda answer: answer == Progress(stage="at work", poll_after=0.1))
    comfy.open.set()
    assert isinstance(until(request, job_id, ended), Result)
    assert comfy.listeners == []


def test_the_end_is_heard_while_listening(comfy):
    comfy.open.clear()
    request = painting(comfy, config={"listen_seconds": 60})
    job_id = submit(request)
    until(painting(comfy, config={"listen_seconds": 0}), job_id, lambda answer: answer.stage == "at work")
    object.__setattr__(request, "timeout_seconds", 100)
    threading.Timer(0.3, comfy.open.set).start()
    assert isinstance(until(request, job_id, ended), Result)


def heard(*messages: str | bytes, workflow: Any = None) -> Listening:
    listening = Listening(prompt_id="p", workflow=workflow or {"1": LOAD, "2": SAVE})
    for message in messages:
        listening.hear(message)
    return listening


@pytest.mark.parametrize(
    "message",
    [
        "", "no json", "[1]", '{"type": "progress"}', '{"type": "progress", "data": 7}', '{"data": {"prompt_id": "other"}, "type": "execution_error"}',
        '{"type": "progress", "data": {"prompt_id": "p", "node": ["1"], "value": "x", "max": 0}}',
        '{"type": "execution_cached", "data": {"prompt_id": "p", "nodes": {"1": 1}}}',
        '{"type": "progress_state", "data": {"prompt_id": "p", "nodes": [1]}}', "[" * 100_000,
        b"", b"\0\0\0\1", struct.pack(">II", 1, 1) + b"no picture", struct.pack(">II", 4, 10**9) + b"{}", struct.pack(">II", 9, 9) + picture(4),
        struct.pack(">II", 4, 19) + b'{"prompt_id": "no"}' + picture(4),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_passed_over(message):
    listening = heard(message)
    assert (listening.percent, listening.ended, listening.preview) == (None, False, b"")


def test_nodes_that_are_done_count():
    cached = '{"type": "execution_cached", "data": {"prompt_id": "p", "nodes": ["1", "unknown"]}}'
    state = '{"type": "progress_state", "data": {"prompt_id": "p", "nodes": {"2": {"value": 1, "max": 2, "state": "running"}}}}'
    assert heard(cached).percent == 50
    assert heard(cached, state).percent == 75
    assert heard(struct.pack(">II", 4, 18) + b'{"prompt_id": "p"}' + picture(4)).preview == picture(4)
    assert heard('{"type": "executing", "data": {"prompt_id": "p", "node": null}}').ended


# Keys, costs, bad answers


def test_a_key_goes_with_each_request_and_the_fetching_of_files(monkeypatch):
    monkeypatch.setenv("COMFY_KEY", "secret")
    with comfy_server(key="secret") as comfy:
        request = painting(comfy, config={"api_key_env": "COMFY_KEY"})
        assert len(made(request)["files"]) == 1
        error = refused(painting(comfy))
        assert (error.code, error.permanent) == ("unauthorized", True)


def test_a_rented_machine_is_paid_for_by_its_own_clock(comfy):
    comfy.history["p"] = {
        "outputs": {"9": {"text": ["done"]}},
        "status": {
            "status_str": "success", "completed": True,
            "messages": [["execution_start", {"timestamp": 1_000_000}], ["execution_success", {"timestamp": 1_003_200}]],
        },
    }  # fmt: skip
    request = request_for("comfyui", {"prompt": "x"}, config=config_for(comfy, {}), pricing={"per_second": "0.00115"})
    result = poll(request, "p")
    assert result.cost.usd == Decimal("0.00368")
    assert result.cost.basis == {"unit": "second", "quantity": "3.2", "price": "0.00115", "table": 1}
    comfy.history["p"]["status"]["messages"].insert(1, ["execution_error", {"timestamp": 1_002_000, "exception_message": "no"}])
    assert poll(request, "p").cost.usd == Decimal("0.0023")


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({}, "no_output"), ({"outputs": 7, "status": 7}, "no_output"), ({"status": {"status_str": "error"}}, "execution_failed"),
        ({"outputs": {"1": {"images": [7, {"filename": ""}, {"filename": 7}]}, "2": []}}, "no_output"),
        ({"status": {"messages": [["execution_error", 7], 7, ["execution_error", {"traceback": 7, "exception_type": None}]]}}, "execution_failed"),
        ({"outputs": {"1": {"images": [{"filename": "gone.png"}]}}}, "output_not_kept"),
    ],
)  # fmt: skip
def test_a_history_of_another_form_is_no_success(comfy, entry, code):
    comfy.history["p"] = entry
    told = poll(painting(comfy), "p")
    error = told.error if isinstance(told, Unfetched) else told
    assert isinstance(error, ToolError)
    assert error.code == code


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b'{"prompt_id": 7}'])
def test_an_answer_that_names_no_workflow_is_ambiguous(body):
    with website() as site:
        site.put("/prompt", body)
        request = request_for("comfyui", {"prompt": "x"}, config={**PAINT, "base_url": site.url()})
        error = refused(request)
        assert (error.code, error.ambiguous) == ("bad_answer", True)


def test_a_refusal_of_any_form_is_told():
    with website() as site:
        for body in (
            b"[]",
            b"{}",
            b'{"error": "no prompt", "node_errors": []}',
            b'{"error": {"message": 7}, "node_errors": {"1": [], "2": {"errors": [7]}}}',
        ):
            site.put("/prompt", body, status=400)
            error = refused(request_for("comfyui", {"prompt": "x"}, config={**PAINT, "base_url": site.url()}))
            assert error.message.startswith("ComfyUI refused the workflow.")


def test_a_server_that_is_not_there_is_an_outage():
    error = refused(request_for("comfyui", {"prompt": "x"}, config={**PAINT, "base_url": "http://127.0.0.1:9"}))
    assert (error.code, error.outage, error.ambiguous) == ("unreachable", True, False)


# Configuration


def problems(workflow: Any, schema: Any = None) -> list[str]:
    config = {"workflow": workflow, "input_schema": schema or PAINT["input_schema"]}
    return [str(problem) for problem in registry.get("comfyui").config_problems(config)]


@pytest.mark.parametrize(
    ("workflow", "told"),
    [
        ({}, "config.workflow: has no nodes"),
        ({"nodes": [], "links": []}, "config.workflow: is in the editor's own format; export it from ComfyUI by `Export (API)`"),
        ({"1": {"inputs": {}}}, "config.workflow['1']: is no node"),
        ({"a": 7}, "config.workflow.a: is no node"),
        ({"a": node("SaveImage", images=["b", 0])}, "config.workflow.a.inputs.images: is linked to node 'b', which is not there"),
        (
            {"a": node("ShowText", text="{{ inputs.promt }}")},
            "config.workflow.a.inputs.text: inputs has no 'promt'; did you mean",
        ),
        ({"a": node("ShowText", text="{{ steps.one }}")}, "config.workflow.a.inputs.text: there is no 'steps' here"),
        ({"a": node("ShowText", text="{{ inputs.prompt | no_such }}")}, "config.workflow.a.inputs.text: "),
        ({"a": node("ShowText", text="{% if x %}")}, "statements"),
    ],
)
def test_a_workflow_that_cannot_work_is_told_when_it_is_saved(workflow, told):
    assert told in "\n".join(problems(workflow))


def test_a_schema_that_is_none_is_told():
    assert "config.input_schema.type" in "\n".join(problems(PAINT["workflow"], {"type": "objekt"}))


def test_the_tools_that_come_with_it_are_right():
    for definition in DEFINITIONS:
        assert registry.get("comfyui").config_problems(definition.config) == []
        assert registry.get("comfyui").declares(definition.config)["input_schema"] == definition.input_schema


def test_a_rented_machine_makes_the_tool_billed():
    declared = registry.get("comfyui").declares({**PAINT, "billed": True})
    assert (declared["effects"], declared["recovery"]) == ("billed", "lookup")


def test_a_configuration_that_was_never_checked_fails_the_call(comfy):
    error = refused(painting(comfy, workflow={"a": node("ShowText", text="{{ steps }}")}))
    assert error.code == "bad_config"


def test_the_configuration_of_the_documentation_works():
    (text,) = re.findall(r"```json\n(.*?)```", (Path(__file__).parents[2] / "docs" / "tools" / "comfyui.md").read_text(), re.DOTALL)
    adapter, config = registry.get("comfyui"), json.loads(text)
    assert check(config, adapter.config_schema, path="config") == []
    assert adapter.config_problems(config) == []
