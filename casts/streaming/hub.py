"""All streams of one process, told by one poller.

The poller asks, while there are streams and for all of them at once, how their casts stand; it reads more of those
that stand otherwise than their clients have seen. It has one thread and one connection to the database, whatever
the number of streams; a stream itself has neither.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, cast
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from casts.conductor.database import DatabaseThread, is_outage
from casts.models import Cast, Cook
from casts.waiting import lend_connection

from . import cook_news, frames, signals
from .audience import Audience, Subject, Words, name_of
from .news import go_on
from .opening import Opened
from .seats import Seats
from .standing import CookStanding, Standing, cook_standings_of, standings_of
from .stream import Message, Receive, Send, Stream

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
OUTAGE_SECONDS = 2.0
TEND_SECONDS = 1.0
# Casts whose changes are read before they are told and the next ones are read.
SLICE = 50
HEARTBEAT_SECONDS = 15.0
# A client that takes nothing for so long is dropped.
STUCK_SECONDS = 60.0
# After so long a client must ask again, and show again who it is.
LIFE_SECONDS = 3600.0
# At the end of the process, what is on its way may arrive for so long. The server waits for 5 seconds.
FAREWELL_SECONDS = 2.0

Told = Mapping[Audience, Words] | None
AnyStanding = Standing | CookStanding


class Hub:
    """Serves streams until they end, their clients leave, or the process is asked to stop. Belongs to one event loop."""

    def __init__(self, seats: Seats) -> None:
        """Take the seats that are closed at the end."""
        self.seats = seats
        self.streams: set[Stream] = set()
        self._poller: asyncio.Task[None] | None = None

    def open(self, opened: Opened, *, body: bytes) -> Stream:
        """Return a stream that begins with what its view answered."""
        stream = Stream(opened, now=self._now())
        stream.say(body, now=self._now())
        return stream

    async def serve(self, stream: Stream, *, start: Message, receive: Receive, send: Send) -> None:
        """Serve one stream: the start of its response, what it begins with, and then what is new, until its end."""
        self.streams.add(stream)
        if self._poller is None:
            self._poller = asyncio.get_running_loop().create_task(self._poll(), name="streams of casts")
        try:
            await stream.run(start=start, receive=receive, send=send)
        finally:
            self.streams.discard(stream)

    def stop(self) -> None:
        """End all streams, and take no more: the process is about to end."""
        self.seats.close()
        for stream in self.streams:
            stream.finish()
        asyncio.get_running_loop().call_later(FAREWELL_SECONDS, _drop, list(self.streams))

    async def _poll(self) -> None:
        """Look, tell and wait until there is no stream left."""
        database, tend = DatabaseThread(name="streams-database"), asyncio.get_running_loop().create_task(self._tend())
        heard = signals.hear(self.stop)
        try:
            while self.streams:
                began = self._now()
                pause = await self._look(database)
                await asyncio.sleep(max(pause, self._now() - began))
        except Exception:
            logger.exception("Live events cannot be told. Their clients must ask again.")
        finally:
            # those that come from here on get a poller of their own
            self._poller = None
            for stream in self.streams:
                stream.finish()
            tend.cancel()
            heard.restore()
            database.end()

    async def _look(self, database: DatabaseThread) -> float:
        """Tell all streams what is new, and return for how long to wait until the next look."""
        subjects = self._audiences()
        try:
            for some in _sliced(subjects):
                self._tell(await database.run(look, {subject: subjects[subject] for subject in some}))
        except (DatabaseError, InterfaceError) as error:
            if not is_outage(error):
                raise
            logger.warning("Live events wait for the database: %s", error)
            return OUTAGE_SECONDS
        return TICK_SECONDS

    def _audiences(self) -> dict[Subject, set[Audience]]:
        """Return who follows which cast or cook: streams that have seen the same are told the same."""
        subjects: dict[Subject, set[Audience]] = defaultdict(set)
        for stream in self.streams:
            if not stream.is_finished:
                subjects[stream.subject].add(stream.audience)
        return subjects

    def _tell(self, told: Mapping[Subject, Told]) -> None:
        for stream in self.streams:
            if stream.subject not in told:
                continue
            words = told[stream.subject]
            if words is None:  # it is gone, or cannot be told
                stream.finish()
            elif stream.audience in words:
                stream.tell(words[stream.audience], now=self._now())

    async def _tend(self) -> None:
        """Keep silent connections open, end old streams, and drop those whose clients take nothing."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            now = self._now()
            _drop(stream for stream in self.streams if stream.is_stuck(since=now - STUCK_SECONDS))
            for stream in self.streams:
                if now - stream.opened_at > LIFE_SECONDS:
                    stream.finish()
                elif now - stream.told_at > HEARTBEAT_SECONDS:
                    stream.say(frames.HEARTBEAT, now=now)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _drop(streams: Iterable[Stream]) -> None:
    for stream in streams:
        stream.drop()


def _sliced(subjects: Iterable[Subject]) -> Iterator[list[Subject]]:
    left = iter(subjects)
    while some := list(islice(left, SLICE)):
        yield some


def look(subjects: Mapping[Subject, Collection[Audience]]) -> dict[Subject, Told]:
    """Return what is new of casts and cooks to those who follow them, None for those that are not there any more."""
    told: dict[Subject, Told] = {}
    try:
        standings: dict[Subject, AnyStanding] = {}
        casts = [subject for subject in subjects if isinstance(subject, UUID)]
        cooks = [subject for subject in subjects if isinstance(subject, int)]
        if casts:
            standings |= cast("dict[Subject, AnyStanding]", standings_of(casts))
        if cooks:
            standings |= cast("dict[Subject, AnyStanding]", cook_standings_of(cooks))
        for subject, audiences in subjects.items():
            standing = standings.get(subject)
            behind = [(origin, seen) for origin, seen in audiences if seen.standing != standing]
            if standing is None:
                told[subject] = None
            elif behind:
                told[subject] = _told(subject, behind, standing)
    finally:
        lend_connection()
    return told


def _told(subject: Subject, behind: Collection[Any], standing: Any) -> Told:
    """Return what is new of one cast or cook, None when it cannot be told: no other shall suffer from it."""
    try:
        if isinstance(subject, UUID):
            return go_on(cast_id=subject, standing=standing, audiences=behind)
        return cook_news.go_on(cook_id=subject, standing=standing, audiences=behind)
    except (Cast.DoesNotExist, Cook.DoesNotExist):
        return None  # deleted since
    except Exception as error:
        if isinstance(error, DatabaseError | InterfaceError) and is_outage(error):
            raise
        logger.exception("What is new of %s cannot be told. Its clients must ask again.", name_of(subject))
        return None
