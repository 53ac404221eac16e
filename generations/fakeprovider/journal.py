"""Jobs in a file, so that a provider that was killed still has them. Without one they are lost, as with providers that keep them in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from .appended import AppendedFile
from .instructions import Instruction
from .jobs import Job, Order, Phase
from .pictures import Recipe


class Journal:
    """Lines of what was `accepted`, what `ended`, and which pictures were `promised`. Files that somebody uploaded are not kept."""

    def __init__(self, path: Path) -> None:
        """Read what is there. Raises FileError and OSError."""
        self._jobs: dict[tuple[str, str], Job] = {}
        self._pictures: dict[str, Recipe] = {}
        self._file = AppendedFile(path, what="file of a fake provider's jobs", read=self._read)

    def _read(self, line: Any) -> None:
        if "accepted" in line:
            job = _job_of(line["accepted"])
            self._jobs[job.order.dialect, job.id] = job
        elif "ended" in line:
            told = line["ended"]
            _end(self._jobs[told["dialect"], told["id"]], told)
        else:
            told = line["promised"]
            token = told.pop("token")
            self._pictures[token] = Recipe(**told)

    def jobs(self) -> Iterator[Job]:
        """Yield the jobs as they were, those at work as if they had just been accepted, and know nothing of them any more."""
        jobs, self._jobs = self._jobs, {}
        yield from jobs.values()

    def pictures(self) -> Iterator[tuple[str, Recipe]]:
        """Yield the pictures that were promised, by their tokens, and know nothing of them any more."""
        pictures, self._pictures = self._pictures, {}
        yield from pictures.items()

    def accepted(self, job: Job) -> None:
        order = {**asdict(job.order), "events": sorted(job.order.events)}
        told = {"number": job.number, "latency": job.latency, "failure": job.failure, "accepted_at": job.accepted_at.isoformat()}
        self._file.append({"accepted": {**told, "request": job.whose.request, "order": order}})

    def ended(self, job: Job) -> None:
        told = {"dialect": job.order.dialect, "id": job.id, "phase": job.phase, "failure": job.failure, "seconds": format(job.seconds, "f")}
        times = {"started_at": job.started_at and job.started_at.isoformat(), "ended_at": job.ended_at and job.ended_at.isoformat()}
        self._file.append({"ended": {**told, **times, "is_late": job.is_late, "output": job.output}})

    def promised(self, token: str, recipe: Recipe) -> None:
        self._file.append({"promised": {"token": token, **asdict(recipe)}})

    def close(self) -> None:
        self._file.close()


def _job_of(told: Mapping[str, Any]) -> Job:
    given = told["order"]
    order = Order(**{**given, "told": Instruction(**given["told"]), "events": frozenset(given["events"])})
    return Job(
        order=order,
        number=told["number"],
        latency=told["latency"],
        failure=told["failure"],
        whose=order.identity(told["request"]),
        accepted_at=datetime.fromisoformat(told["accepted_at"]),
    )


def _end(job: Job, told: Mapping[str, Any]) -> None:
    job.phase, job.failure, job.seconds = Phase(told["phase"]), told["failure"], Decimal(told["seconds"])
    job.output, job.is_late = told["output"], told["is_late"]
    job.ended_at = datetime.fromisoformat(told["ended_at"])
    job.started_at = datetime.fromisoformat(told["started_at"]) if told["started_at"] else None
