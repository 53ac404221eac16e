"""json.query: JMESPath over a JSON value, with a bound on its work."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import Options, TreeInterpreter

from generations.artifacts import REFERENCE_KEY

from .contract import Adapter, Request, Result, ToolDefinition, ToolError
from .definition import object_schema, text_schema
from .json_parse import BadJson, parse_json

# A value costs one, a text one more for each 16 characters. About a second of work and 50 MB at the worst.
MAX_WORK = 1_000_000
MAX_FILE_BYTES = 16 * 2**20


class TooMuchWork(Exception):
    """The query does more work than allowed."""


class _Budget:
    """Counts down the work that a query may still do."""

    def __init__(self, left: int) -> None:
        self.left = left

    def charge(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise TooMuchWork

    def charge_value(self, value: Any) -> None:
        """Charge what a value would cost written out. Lists that share their items are cheap to build, not to write."""
        stack = [value]
        while stack:
            current = stack.pop()
            self.charge(_own_cost(current))
            if isinstance(current, Mapping):
                stack.extend(current.values())
            elif isinstance(current, list):
                stack.extend(current)


def _own_cost(value: Any) -> int:
    return 1 + (len(value) // 16 if isinstance(value, str) else 0)


class _BoundedFunctions(Functions):
    def __init__(self, budget: _Budget) -> None:
        self._budget = budget

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        arguments = list(resolved_args)
        self._budget.charge_value(arguments)
        return super().call_function(function_name, arguments)


class _BoundedInterpreter(TreeInterpreter):
    """Evaluates a parsed query, charging each step, and each comparison by the size of what it compares."""

    def __init__(self, budget: _Budget) -> None:
        super().__init__(Options(custom_functions=_BoundedFunctions(budget)))
        self._budget = budget
        compare = TreeInterpreter.COMPARATOR_FUNC
        self._comparators = {name: self._charged(function) for name, function in compare.items()}

    @property
    def COMPARATOR_FUNC(self) -> dict[str, Callable[[Any, Any], Any]]:  # type: ignore[override]  # noqa: N802 - the library looks its comparisons up by this name
        return self._comparators

    def _charged(self, compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def charged(left: Any, right: Any) -> Any:
            self._budget.charge_value([left, right])
            return compare(left, right)

        return charged

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().visit(node, *args, **kwargs)
        self._budget.charge(_own_cost(result) + (len(result) if isinstance(result, list | dict) else 0))
        return result


def query(expression: str, value: Any, *, max_work: int = MAX_WORK) -> Any:
    """Return what a JMESPath expression finds in a JSON value; null when it finds nothing.

    Raises:
        ToolError: permanent, `bad_query`: it cannot be read, fails on this value, or does too much work.
    """
    budget = _Budget(max_work)
    try:
        result = _BoundedInterpreter(budget).visit(jmespath.compile(expression).parsed, value)
        budget.charge_value(result)
    except TooMuchWork:
        raise _bad_query(f"it does more than {max_work} steps of work") from None
    except RecursionError:
        raise _bad_query("it is nested too deep") from None
    except (JMESPathError, TypeError, ValueError, ArithmeticError) as error:
        raise _bad_query(str(error)) from error
    return result


def _bad_query(why: str) -> ToolError:
    return ToolError(f"The query cannot be answered: {why}.", code="bad_query", permanent=True)


class JsonQuery(Adapter):
    """Finds things in JSON."""

    key = "json.query"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="json.query",
            name="Query JSON",
            description="Takes parts out of a JSON value by a JMESPath expression (jmespath.org).",
            category="json",
            input_schema=object_schema(
                {
                    "value": {
                        "description": "The JSON value to look in, or the reference to a JSON file: a value too large for an output is one."
                    },
                    "query": text_schema("The JMESPath expression, like scenes[?mood=='calm'].title.", max_length=2000, minLength=1),
                    "default": {"description": "What to return when nothing is found.", "default": None},
                },
                required=("value", "query"),
            ),
            output_schema=object_schema({"value": {"description": "What was found."}}, required=("value",)),
            example={"value": {"scenes": [{"title": "Sea"}, {"title": "Storm"}]}, "query": "scenes[*].title"},
        ),
    )

    def run(self, request: Request) -> Result:
        value = request.inputs["value"]
        found = query(request.inputs["query"], _read(request, value) if _is_json_file(value) else value)
        return Result(output={"value": request.inputs.get("default") if found is None else found})


def _is_json_file(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get(REFERENCE_KEY), str) and value.get("mime_type") == "application/json"


def _read(request: Request, reference: Mapping[str, Any]) -> Any:
    """Return the JSON in a file. Raises ToolError: it is none, or too large."""
    if request.size_of(reference) > MAX_FILE_BYTES:
        raise ToolError(f"The file is larger than {MAX_FILE_BYTES:,} bytes.", code="too_large", permanent=True)
    try:
        return parse_json(request.read(reference))
    except BadJson as error:
        raise ToolError(f"The file is not JSON: {error}.", code="bad_json", permanent=True) from error
