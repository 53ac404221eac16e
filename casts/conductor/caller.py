"""The calls and polls of what is held: each is a task on its lane, and ends in a report that is to be settled."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from casts.engine import Aborted, News, Report, Unasked, Via
from generations.tools.contract import ToolError

from . import calls
from .holdings import Holdings, Work
from .lanes import Lane, Lanes, Place, lane_of
from .reporting import Reporting
from .settling import Order
from .threads import Threads

logger = logging.getLogger(__name__)


class Caller:
    """Makes calls and polls as they are ordered, and reports on each, whatever comes of it. `wake` is called when one has ended."""

    def __init__(self, *, held: Holdings, lanes: Lanes, threads: Threads, reporting: Reporting, wake: Callable[[], None]) -> None:
        """Take whose calls they are, where there is room for them, who listens to them meanwhile, and whom to tell."""
        self._held = held
        self._lanes = lanes
        self._threads = threads
        self._reporting = reporting
        self._wake = wake

    def start(self, order: Order) -> None:
        """Start a call or a poll, unless the lease of its cast may end first: another look finds it unmade then."""
        request, cast_id = order.request, order.request.cast_id
        if not self._held.has_margin(order.turn.state.claim):
            self._held.look_in(cast_id, seconds=0.2)
            return
        tool = next(tool for tool in order.turn.state.tools.values() if tool.slug == request.tool)
        lane = lane_of(tool, apart=order.apart) if order.asked is None else Lane.POLL
        place = self._lanes.occupy(lane, then=self._wake)
        task = asyncio.create_task(self._make(order, tool.adapter, place))
        self._held.work[request.generation_id] = Work(cast_id=cast_id, task=task)

    def abort(self, generation_id: UUID) -> None:
        """Stop a call or a poll, if it is still at work. It reports that it was stopped."""
        if work := self._held.work.get(generation_id):
            work.abort()

    async def _make(self, order: Order, adapter_key: str, place: Place) -> None:
        request = order.request
        news: News
        try:
            if order.asked is None:
                request = self._reporting.listen(order, adapter_key)
                threads = self._threads.calls
                news = await calls.run(adapter_key=adapter_key, request=request, threads=threads, place=place, apart=order.apart)
            else:
                threads, job_id = self._threads.polls, order.asked.job_id
                news = await calls.poll(adapter_key=adapter_key, request=request, job_id=job_id, threads=threads, place=place)
        except BaseException as error:  # noqa: BLE001 - a call that reports on nothing would be waited for for ever
            news = self._broken_off(order, error)
        finally:
            place.leave()
        self._held.work.pop(request.generation_id, None)
        self._reporting.forget(request.generation_id)
        via = Via.RUN if order.asked is None else Via.POLL
        made, claim = tuple(request.workbench.made), order.turn.state.claim
        self._held.reports.append(
            Report(generation_id=request.generation_id, claim=claim, via=via, news=news, made=made, asked=order.asked)
        )
        self._wake()

    def _broken_off(self, order: Order, error: BaseException) -> News:
        """Return what to report where no answer came: we stopped it ourselves, or its adapter did what none may do."""
        work = self._held.work.get(order.request.generation_id)
        if work is not None and work.aborted:
            return Aborted(reason="Its cast was stopped.")
        logger.error("The call of generation %s ended in no answer", order.request.generation_id, exc_info=error)
        told = ToolError(f"The call ended in {type(error).__name__}.", code="adapter_crashed", ambiguous=True)
        return told if order.asked is None else Unasked(error=told, poll_after=calls.ASK_AGAIN_SECONDS)
