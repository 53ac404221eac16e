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
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from casts.conductor.database import DatabaseThread, is_outage
from casts.models import Cast
from casts.waiting import lend_connection

from . import frames, signals
from .news import Audience, Words, go_on
from .opening import Opened
from .seats import Seats
from .standing import Standing, standings_of
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
        casts = self._audiences()
        try:
            for some in _sliced(casts):
                self._tell(await database.run(look, {cast_id: casts[cast_id] for cast_id in some}))
        except (DatabaseError, InterfaceError) as error:
            if not is_outage(error):
                raise
            logger.warning("Live events wait for the database: %s", error)
            return OUTAGE_SECONDS
        return TICK_SECONDS

    def _audiences(self) -> dict[UUID, set[Audience]]:
        """Return who follows which cast: streams that have seen the same are told the same."""
        casts: dict[UUID, set[Audience]] = defaultdict(set)
        for stream in self.streams:
            if not stream.is_finished:
                casts[stream.cast_id].add(stream.audience)
        return casts

    def _tell(self, told: Mapping[UUID, Told]) -> None:
        for stream in self.streams:
            if stream.cast_id not in told:
                continue
            words = told[stream.cast_id]
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


def _sliced(casts: Iterable[UUID]) -> Iterator[list[UUID]]:
    left = iter(casts)
    while some := list(islice(left, SLICE)):
        yield some


def look(casts: Mapping[UUID, Collection[Audience]]) -> dict[UUID, Told]:
    """Return what is new of casts to those who follow them, None for casts that are not there any more."""
    told: dict[UUID, Told] = {}
    try:
        standings = standings_of(casts.keys())
        for cast_id, audiences in casts.items():
            standing = standings.get(cast_id)
            behind = [(origin, seen) for origin, seen in audiences if seen.standing != standing]
            if standing is None:
                told[cast_id] = None
            elif behind:
                told[cast_id] = _told(cast_id, behind, standing)
    finally:
        lend_connection()
    return told


def _told(cast_id: UUID, behind: Collection[Audience], standing: Standing) -> Told:
    """Return what is new of one cast, None when it cannot be told: no other shall suffer from it."""
    try:
        return go_on(cast_id=cast_id, standing=standing, audiences=behind)
    except Cast.DoesNotExist:
        return None  # deleted since
    except Exception as error:
        if isinstance(error, DatabaseError | InterfaceError) and is_outage(error):
            raise
        logger.exception("What is new of cast %s cannot be told. Its clients must ask again.", cast_id)
        return None
