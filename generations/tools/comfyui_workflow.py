"""A workflow of ComfyUI: what is wrong with one, by ourselves and by the server; how its nodes depend on each other."""

from collections.abc import Iterator, Mapping
from typing import Any

from spells.problems import Problem, join_path

from .param_templates import template_problems

PLACE = "config.workflow"


def workflow_problems(config: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a workflow and the schema of its params, each with its place."""
    workflow = config["workflow"]
    if isinstance(workflow.get("nodes"), list):
        return [Problem(PLACE, "is in the editor's own format; export it from ComfyUI by `Export (API)`")]
    return [*_node_problems(workflow), *template_problems(workflow, place=PLACE, schema=config["input_schema"])]


def _node_problems(workflow: Mapping[str, Any]) -> Iterator[Problem]:
    if not workflow:
        yield Problem(PLACE, "has no nodes")
    for name, node in workflow.items():
        place = join_path(PLACE, name)
        if not isinstance(node, Mapping) or not isinstance(node.get("class_type"), str) or not isinstance(node.get("inputs"), Mapping):
            yield Problem(place, 'is no node: one is an object like {"class_type": "SaveImage", "inputs": {}}')
            continue
        for key, value in node["inputs"].items():
            if _is_link(value) and value[0] not in workflow:
                yield Problem(join_path(place, "inputs", key), f"is linked to node {value[0]!r}, which is not there")


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int  # noqa: PLR2004 - node and output


def upstream(workflow: Mapping[str, Any], node: object) -> list[str]:
    """Return the nodes on which a node depends, as far as they are known."""
    found: list[str] = []
    stack = [str(node)]
    while stack:
        inside = workflow.get(stack.pop())
        inputs = inside.get("inputs") if isinstance(inside, Mapping) else None
        for value in inputs.values() if isinstance(inputs, Mapping) else ():
            if _is_link(value) and value[0] in workflow and value[0] not in found:
                found.append(value[0])
                stack.append(value[0])
    return found


def class_of(workflow: Mapping[str, Any], node: object) -> str:
    """Return what a node is, as far as it is known."""
    inside = workflow.get(str(node))
    return str(inside.get("class_type", ""))[:100] if isinstance(inside, Mapping) else ""


def refusal(told: Any, workflow: Mapping[str, Any]) -> str:
    """Return in words why ComfyUI takes no such workflow: by node and input, as its validation tells it."""
    told = told if isinstance(told, Mapping) else {}
    whole = told.get("error")
    words = [_sentence(whole)] if isinstance(whole, Mapping) else [f"{whole}."] if isinstance(whole, str) else []
    return " ".join([*words, *_faults(told.get("node_errors"), workflow)]) or "It does not say why."


def _faults(nodes: Any, workflow: Mapping[str, Any]) -> Iterator[str]:
    for node, fault in list(nodes.items())[:10] if isinstance(nodes, Mapping) else ():
        kind = class_of(workflow, node)
        errors = fault.get("errors") if isinstance(fault, Mapping) else None
        for error in errors[:5] if isinstance(errors, list) else ():
            if isinstance(error, Mapping):
                yield f"Node {str(node)[:100]}{f' ({kind})' if kind else ''}{_input_of(error)}: {_sentence(error)}"


def _input_of(error: Mapping[str, Any]) -> str:
    extra = error.get("extra_info")
    name = extra.get("input_name") if isinstance(extra, Mapping) else None
    return f", input {str(name)[:100]}" if name else ""


def _sentence(error: Mapping[str, Any]) -> str:
    message, details = (str(error.get(name) or "").strip()[:500].rstrip(".") for name in ("message", "details"))
    return f"{message}{': ' if message and details else ''}{details}."
