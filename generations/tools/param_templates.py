"""JSON of a tool's configuration with expressions over its params in it: checked when it is saved, filled in for each call."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from spells.expressions import ExpressionError, Template, compile_value
from spells.problems import Problem
from spells.reach import DeadEndError, follow
from spells.schemas import check_schema

from .contract import Request, ToolError
from .definition import SEED_SCHEMA

NAMES = frozenset({"inputs", "seed"})


def template_problems(value: Any, *, place: str, schema: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a template at a place of the configuration, and with the schema of the params that it reads."""
    # References are held against the schema.
    if problems := check_schema(schema, path="config.input_schema"):
        return problems
    try:
        tree = compile_value(value, path=place, names=NAMES)
    except ExpressionError as error:
        return [Problem(error.path, error.message)]
    return list(dead_ends(tree.templates(), {"inputs": schema}))


def dead_ends(templates: Iterable[Template], schemas: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Yield each reference that leads to what cannot exist. `schemas` are those of the values that expressions begin at, by name."""
    for template in templates:
        for reference in template.references:
            if reference.root in schemas:
                try:
                    follow(reference, schemas[reference.root])
                except DeadEndError as error:
                    yield Problem(template.path, str(error))


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
