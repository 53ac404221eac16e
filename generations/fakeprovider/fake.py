"""The fake provider as a whole: an ASGI program of all dialects, and what they share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from .answers import ASKED_FOR, suffered
from .comfydeploy import ComfyDeploy
from .control import Control
from .counts import Counts
from .dialects import Dialect
from .fal import Fal
from .instructions import Rules
from .jobbook import JobBook
from .jobs import Job
from .journal import Journal
from .ledger import Ledger
from .lumen import Lumen
from .once import Once
from .openai import OpenAI
from .painters import Painters
from .pictures import Recipe, Shelf
from .replicate import Replicate
from .runpod import RunPod
from .settings import Settings
from .webhooks import Post

DIALECTS: tuple[type[Dialect], ...] = (Replicate, Fal, OpenAI, ComfyDeploy, RunPod, Lumen)


class Fake:
    """All that is alive while the fake provider runs. `app` is the ASGI program; it needs its lifespan."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings, and open the log if there is one. Raises FileError and OSError."""
        self.settings = settings
        self.rules = Rules()
        self.counts = Counts()
        self.ledger = Ledger(settings.log, fsync=settings.fsync, seen=self.counts.billed)
        self.journal = Journal(settings.jobs) if settings.jobs else None
        self.shelf = Shelf(seconds=settings.file_seconds, max_side=settings.max_picture_side, promised=self._promised)
        self.painters = Painters()
        self.post = Post(settings)
        self.book = JobBook(settings, self)
        self.once = Once()
        self.dialects = {dialect.name: dialect(self) for dialect in DIALECTS}
        self.answers = 0
        mounts = [Mount(f"/{name}", routes=dialect.routes()) for name, dialect in self.dialects.items()]
        files = Route("/files/{token}/{name}", self._file)
        self.app = Starlette(routes=[*Control(self).routes(), files, *mounts], lifespan=self._lifespan)

    def next_answer(self) -> int:
        """Return the number of the next answer that is no job."""
        self.answers += 1
        return self.answers

    def repeat_mail(self, job: Job, *, copies: int) -> int:
        """Send once more what a job's end brought, so many times at once, and return how many webhooks that were."""
        mails = list(self.dialects[job.order.dialect].mails(job, "completed")) * copies
        for mail in mails:
            self.post.again(job, mail)
        return len(mails)

    def accepted(self, job: Job) -> None:
        self._count(job)
        if self.journal and not job.order.told.lose:
            self.journal.accepted(job)

    def _count(self, job: Job) -> None:
        self.counts.accepted({"dialect": job.order.dialect, **job.whose.told()})

    def _promised(self, token: str, recipe: Recipe) -> None:
        if self.journal:
            self.journal.promised(token, recipe)

    def _take_up(self, journal: Journal) -> None:
        """Go on with the jobs of a provider that was killed."""
        for token, recipe in journal.pictures():
            self.shelf.put(token, recipe)
        for job in journal.jobs():
            self._count(job)
            self.book.take_up(job)

    def made(self, job: Job) -> Any:
        return self.dialects[job.order.dialect].output(job)

    def told(self, job: Job, event: str) -> None:
        """Bill a job that ended, and only then say so."""
        dialect = self.dialects[job.order.dialect]
        if event == "completed" and (lines := dialect.bill(job)):
            order = job.order
            self.ledger.bill(dialect=order.dialect, id=job.id, model=order.model, status=job.phase, lines=lines, whose=job.whose)
        if event == "completed" and self.journal:
            self.journal.ended(job)
        for mail in dialect.mails(job, event):
            self.post.send(job, mail)

    async def _file(self, request: Request) -> Response:
        async def find() -> Response:
            found = await self.painters.do(self.shelf.get, request.path_params["token"])
            if found is None:
                return PlainTextResponse("There is no such file, or none any more.", status_code=HTTPStatus.NOT_FOUND)
            return Response(found[0], media_type=found[1])

        told = self.rules.take(dialect="", place="file", path=request.url.path)
        return await suffered(told, find, refuse=lambda status: PlainTextResponse(ASKED_FOR, status_code=status))

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        if self.journal:
            self._take_up(self.journal)
        yield
        await self.post.close()
        for file in (self.ledger, self.journal):
            if file:
                file.close()
