"""What providers answer. What came of a call is decided once; who asks may hear less of it, or that only this sending was refused."""

from dataclasses import dataclass
from decimal import Decimal

from casts.engine import Aborted, Hint, News, Unasked, Via
from generations.tools.contract import Cost, Lost, Progress, Result, Submitted, ToolError

from .conductor import Job
from .ledger import ProviderCall

# What a call or a poll may bring, the likely ones more than once.
ANSWERS = (
    *("result", "result", "result", "submitted", "submitted", "progress"),
    *("broke", "ruined", "refused", "busy", "throttled", "outage", "outage", "unclear", "unclear and billed", "lost", "stopped"),
)
WEBHOOKS = ("result", "result", "broke", "ruined", "progress", "hint", "unclear")


def trouble(how: str) -> ToolError:
    if how == "throttled":
        return ToolError("Slow down.", code="rate_limited", retry_after=20.0)
    return ToolError("Out of order.", code="provider_error", outage=True)


@dataclass
class Providers:
    """All providers. Each call that is billed costs another sum, so that no sum stands for two. Faraway goes away at times."""

    cents: int = 0
    is_away: bool = False

    def cost(self) -> Cost:
        self.cents += 1
        return Cost(usd=Decimal(self.cents) / 100)

    def answer(self, job: Job, how: str) -> News:
        if how == "stopped" and job.may_stop:
            return Aborted(reason="Its cast was stopped.")
        call = job.sending.call
        if self.is_away and call.tool.provider is not None:
            how = "outage"
        if job.via is Via.RUN:
            return self._run(call, how)
        return self._poll(call, how, job_id=job.asked.job_id if job.asked else "")

    def tell(self, call: ProviderCall, how: str) -> News:
        """Return what a webhook says."""
        if isinstance(call.final, Lost) or how == "hint":
            return Hint()
        match how:
            case "progress":
                return Progress(percent=10)
            case "unclear":
                return ToolError("It is over, nobody knows how.", ambiguous=True, permanent=True)
        return self.final(call, how)

    def final(self, call: ProviderCall, how: str) -> Result | ToolError | Lost:
        """Return what came of a call: decided now, unless it was before."""
        if call.final is None:
            call.final = self._decide(call, how)
        return call.final

    def _decide(self, call: ProviderCall, how: str) -> Result | ToolError:
        cost = self.cost() if call.is_billed else None
        match how:
            case "broke":
                return ToolError("It broke.", cost=cost, retry_after=1.0)
            case "ruined":
                return ToolError("It broke for good.", cost=cost, permanent=True)
            case "refused":
                return ToolError("No.", permanent=True)
            case "busy":
                return ToolError("Not now.", retry_after=1.0)
        return Result(output={"by": str(call.id)}, cost=cost)

    def _run(self, call: ProviderCall, how: str) -> News:
        match how:
            case "submitted" | "progress" | "lost":
                return Submitted(job_id=call.job_id, poll_after=2.0)
            case "refused" | "busy" if call.knows_keys:  # it refuses this sending, and may have taken another
                return ToolError("No.", permanent=how == "refused", retry_after=1.0)
            case "throttled" | "outage":
                return self._refuse(call, trouble(how))
            case "unclear":
                return ToolError("The answer was lost.", ambiguous=True, outage=True)
            case "unclear and billed" if call.is_billed and not isinstance(call.final, Lost):
                return ToolError("The answer cannot be read.", ambiguous=True, cost=self._cost_of(call))
        final = self.final(call, how)
        return Submitted(job_id=call.job_id, poll_after=2.0) if isinstance(final, Lost) else final

    def _refuse(self, call: ProviderCall, error: ToolError) -> News:
        """Refuse a sending. Where keys are unknown there is no other: that is what came of the call."""
        if call.knows_keys:
            return error
        call.final = call.final or error
        return call.final if not isinstance(call.final, Lost) else Submitted(job_id=call.job_id, poll_after=2.0)

    def _poll(self, call: ProviderCall, how: str, *, job_id: str) -> News:
        match how:
            case _ if how == "lost" or not call.is_made:
                return self._lose(call, job_id=job_id)
            case "submitted" if not job_id:
                return Submitted(job_id=call.job_id, poll_after=2.0)
            case "progress" | "submitted":
                return Progress(percent=50, poll_after=2.0)
            case "throttled" | "outage":
                return Unasked(error=trouble(how), poll_after=5.0)
            case "unclear" | "unclear and billed":
                cost = self._cost_of(call) if how == "unclear and billed" else None
                return ToolError("Nobody knows.", ambiguous=True, permanent=True, cost=cost)
        return self.final(call, how)

    def _cost_of(self, call: ProviderCall) -> Cost | None:
        final = self.final(call, "result")
        return None if isinstance(final, Lost) else final.cost

    def _lose(self, call: ProviderCall, *, job_id: str) -> News:
        """Know of no such job. One that is only looked up may be on its way still."""
        if not call.is_made or (not job_id and call.final is None):
            return Lost(message="No such job.")
        call.final = call.final or Lost(message="The job is gone.")
        return call.final
