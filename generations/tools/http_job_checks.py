"""http.job: what is wrong with a configuration, beyond its schema."""

from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from spells.expressions import ExpressionError, Template, compile_template, compile_value
from spells.models.tool import Recovery
from spells.problems import Problem, join_path
from spells.schemas import check_schema

from .definition import object_schema
from .http_job_config import HMAC, NAMES, NO_SIGNATURE, SUCCEEDED, paths_of, place_of, requests_of
from .param_templates import dead_ends


def problems_of(config: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a whole configuration, each with its place."""
    # Templates are held against the schemas.
    return list(_of_schemas(config)) or [
        *_of_paths(config),
        *_of_templates(config),
        *_of_statuses(config),
        *_of_recovery(config),
        *_of_callback(config),
    ]


def _of_schemas(config: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("input_schema", "result_schema"):
        yield from check_schema(config[name], path=f"config.{name}")
    if config["input_schema"].get("type") != "object":
        yield Problem("config.input_schema", "must have the type object")


def _of_paths(config: Mapping[str, Any]) -> Iterator[Problem]:
    for place, path in paths_of(config).items():
        try:
            jmespath.compile(path)
        except (JMESPathError, RecursionError, ValueError) as error:
            why = str(error).splitlines()[0] if str(error) else "it is nested too deep"
            yield Problem(place, f"is no JMESPath expression: {why}")


def _of_templates(config: Mapping[str, Any]) -> Iterator[Problem]:
    for name, told in requests_of(config).items():
        for part in ("path", "query", "headers", "body"):
            if part in told:
                yield from _of_template(config, told[part], place=f"{place_of(name)}.{part}", names=NAMES[name])


def _of_template(config: Mapping[str, Any], value: Any, *, place: str, names: frozenset[str]) -> Iterator[Problem]:
    try:
        if place.endswith(".path"):
            templates = [compile_template(value, path=place, names=names)]
            yield from _of_address(templates[0])
        else:
            templates = list(compile_value(value, path=place, names=names).templates())
    except ExpressionError as error:
        yield Problem(error.path, error.message)
        return
    kept = object_schema({name: {"type": "string"} for name in config["kept"]})
    yield from dead_ends(templates, {"inputs": config["input_schema"], "kept": kept})


def _of_address(template: Template) -> Iterator[Problem]:
    first = template.parts[0] if template.parts else ""
    if isinstance(first, str) and "://" in first:
        yield Problem(template.path, "must be below base_url, which no other address is")


def _of_statuses(config: Mapping[str, Any]) -> Iterator[Problem]:
    if SUCCEEDED not in config["statuses"].values():
        yield Problem("config.statuses", f"must say which word means {SUCCEEDED}")


def _of_recovery(config: Mapping[str, Any]) -> Iterator[Problem]:
    recovery = config["recovery"]
    if recovery == Recovery.RESEND and not _reads(config, "submit", "idempotency_key"):
        yield Problem("config.recovery", "is resend, but `submit` does not tell the provider the idempotency_key")
    if recovery == Recovery.LOOKUP and not (config["own_id"] or "lookup" in config):
        yield Problem("config.recovery", "is lookup, which needs `lookup`, or `own_id`")
    if config["own_id"] and not _reads(config, "submit", "idempotency_key"):
        yield Problem("config.own_id", "makes the idempotency_key the job's id, but `submit` does not tell it")


def _of_callback(config: Mapping[str, Any]) -> Iterator[Problem]:
    signature = config["callback"]["signature"]
    if signature["kind"] != NO_SIGNATURE and not signature["secret_env"]:
        yield Problem("config.callback.signature.secret_env", "is missing: the signature is made with a secret")
    if signature["kind"] == HMAC and not signature["header"]:
        yield Problem("config.callback.signature.header", "is missing: the signature stands in a header")


def _reads(config: Mapping[str, Any], name: str, root: str) -> bool:
    """Tell whether a request's templates read a name. One that cannot be read is a problem of its own."""
    told = {part: value for part, value in config[name].items() if part != "method"}
    try:
        tree = compile_value(told, path=join_path("config", name), names=NAMES[name])
    except ExpressionError:
        return True
    return any(reference.root == root for reference in tree.references)
