"""What calls are made with: the params of their steps, completed and checked by the schemas of their tools."""

from collections.abc import Mapping
from typing import Any

from generations.tools.contract import ToolError
from spells import schemas
from spells.models import Tool
from spells.plan import PlanStep


class Inputs:
    """The input schemas of the tools of one look, each made ready once: their rows are read anew by every look."""

    def __init__(self) -> None:
        """Know none yet."""
        self._checkers: dict[int, schemas.Checker] = {}

    def of(self, *, step: PlanStep, tool: Tool, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with their defaults. Raises ToolError when the call must not be made."""
        if not tool.enabled:
            raise ToolError(f"The tool {tool.slug} is disabled.", code="tool_disabled", permanent=True)
        if tool.provider is not None and not tool.provider.enabled:
            raise ToolError(f"The provider {tool.provider.slug} of {tool.slug} is disabled.", code="tool_disabled", permanent=True)
        inputs = schemas.complete(params, tool.input_schema)
        problems = self._checker(tool).check(inputs, path=f"steps.{step.key}.params")
        if problems:
            told = "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
            raise ToolError(told, code="invalid_params", permanent=True)
        return inputs

    def _checker(self, tool: Tool) -> schemas.Checker:
        checker = self._checkers.get(tool.pk)
        if checker is None:
            checker = self._checkers[tool.pk] = schemas.checker(tool.input_schema)
        return checker
