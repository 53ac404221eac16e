"""JSON of a tool's configuration with expressions over its params in it: checked when it is saved, filled in for each call."""

from collections.abc import Iterator, Mapping
from typing import Any

from spells.expressions import ExpressionError, TemplateTree, compile_value
from spells.problems import Problem, suggestion
from spells.schemas import check_schema

from .contract import Request, ToolError
from .definition import SEED_SCHEMA

NAMES = frozenset({"inputs", "seed"})


def template_problems(value: Any, *, place: str, schema: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a template at a place of the configuration, and with the schema of the params that it reads."""
    problems = check_schema(schema, path="config.input_schema")
    try:
        tree = compile_value(value, path=place, names=NAMES)
    except ExpressionError as error:
        return [*problems, Problem(error.path, error.message)]
    return [*problems, *_unknown_inputs(tree, schema)]


def _unknown_inputs(tree: TemplateTree, schema: Mapping[str, Any]) -> Iterator[Problem]:
    known = schema.get("properties", {})
    if schema.get("additionalProperties") is not False or not isinstance(known, Mapping):
        return
    for template in tree.templates():
        for reference in template.references:
            name = reference.path[0] if reference.root == "inputs" and reference.path else None
            if isinstance(name, str) and name not in known:
                yield Problem(template.path, f"reads inputs.{name}, which the params do not have{suggestion(name, known)}")


def filled(request: Request, value: Any, *, place: str, inputs: Mapping[str, Any]) -> Any:
    """Return a template with its expressions evaluated. `inputs` are the params, with what stands for their artefacts.

    `seed` is the param of that name, else one that stays the same while the call is made again after a lost answer.

    Raises:
        ToolError: permanent, `bad_template`, with the place in the configuration.
    """
    seed = inputs.get("seed", request.idempotency_key.int % (int(SEED_SCHEMA["maximum"]) + 1))
    try:
        return compile_value(value, path=place, names=NAMES).evaluate({"inputs": dict(inputs), "seed": seed})
    except ExpressionError as error:
        raise ToolError(f"The tool {request.tool} cannot be filled in: {error}", code="bad_template", permanent=True) from error
