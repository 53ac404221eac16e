"""expression: a value by name."""

from typing import ClassVar

from .contract import Adapter, Request, Result, ToolDefinition
from .definition import object_schema


class ExpressionValue(Adapter):
    """Returns its own params: expressions have been evaluated before any tool is called."""

    key = "expression"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="expression",
            name="Compute a value",
            description="Gives a computed value a name: `value` may be an expression, or an object or list with expressions in it.",
            category="json",
            input_schema=object_schema({"value": {"description": "Any JSON value."}}, required=("value",)),
            output_schema=object_schema({"value": {"description": "The same value, computed."}}, required=("value",)),
            example={"value": {"width": 768, "tags": ["sea", "storm"]}},
        ),
    )

    def run(self, request: Request) -> Result:
        return Result(output={"value": request.inputs["value"]})
