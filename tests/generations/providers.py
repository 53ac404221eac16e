"""Adapters of providers, called as the engine calls them, and their answers held against the tool's schema."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from generations.tools.contract import Progress, RemoteFile, Request, Result, Submitted
from spells.schemas import check
from tests.processes import wait_for

from .toolbox import ask, definitions, keep


def run(request: Request) -> Any:
    return checked(request, ask(request, "run"))


def poll(request: Request, job_id: str) -> Any:
    return checked(request, ask(request, "poll", job_id))


def cancel(request: Request, job_id: str) -> None:
    ask(request, "cancel", job_id)


def called_back(request: Request, payload: Any) -> Any:
    return checked(request, ask(request, "read_callback", payload))


def ended(request: Request, job_id: str) -> Any:
    """Ask for a job until it has ended, and by the id under which it is found, if it had none."""
    asked, told = Submitted(job_id=job_id, poll_after=0.0, handle=request.job_handle), None

    def has_ended() -> bool:
        nonlocal asked, told
        told = poll(replace(request, job_handle=asked.handle), asked.job_id)
        if isinstance(told, Submitted):
            asked = told
        return not isinstance(told, Progress | Submitted)

    wait_for("the job has ended", has_ended)
    return told


def checked(request: Request, outcome: Any) -> Any:
    """Return an outcome, if it is no result or one that fits the tool's schema once its files are kept."""
    if isinstance(outcome, Result):
        kept = _kept(outcome.output)
        assert check(kept, definitions()[request.tool].output_schema, path="output") == []
    return outcome


def _kept(value: Any) -> Any:
    if isinstance(value, RemoteFile):
        return keep(b"\x89PNG\r\n\x1a\n").reference()
    if isinstance(value, Mapping):
        return {name: _kept(inner) for name, inner in value.items()}
    return [_kept(inner) for inner in value] if isinstance(value, list) else value
