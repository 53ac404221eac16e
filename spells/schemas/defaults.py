"""Defaults of a schema, filled into a value."""

import copy
from collections.abc import Mapping
from typing import Any


def complete(inputs: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of an object in which each property that is absent has the default of its schema, if it has one.

    Objects inside are completed likewise. What is there stays as it is, also when it is 0, false, "" or null: only an
    absent property is filled. A default is copied, never shared. Properties behind `$ref` and `anyOf` have no defaults.
    """
    completed = dict(inputs)
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return completed
    for name, subschema in properties.items():
        if not isinstance(subschema, Mapping):
            continue
        if name not in completed and "default" in subschema:
            completed[name] = copy.deepcopy(subschema["default"])
        if isinstance(completed.get(name), dict) and "properties" in subschema:
            completed[name] = complete(completed[name], subschema)
    return completed
