"""What holds of every cast, whatever went wrong: looked at from outside, in the words of the promise and not of the code.

- every cast has ended, or is live with a wakeup in the future;
- billed calls are at most one for each generation that was not declared safe to repeat;
- the sum of the costs of its generations is the cost of a cast is what the provider's log says;
- there is exactly one terminal notification for each cast, round, channel and target; of a batch, none is in the inbox.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from .books import Books, identity, moment, money

BATCH = 10
OVER = ("succeeded", "failed", "cancelled")
CENT_OF_A_CENT_OF_A_CENT = Decimal("1e-6")

Entry = Mapping[str, Any]


@dataclass(slots=True)
class Account:
    """What was found: what does not hold, and the calls of which nobody knows what they cost, with the reason.

    `twice` counts generations that were billed more than once, `orphaned` what was billed and cannot be booked, by the reason.
    """

    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    casts: Counter[str] = field(default_factory=Counter)
    generations: int = 0
    billed_calls: int = 0
    billed: Decimal = Decimal(0)
    booked: Decimal = Decimal(0)
    billed_unknown: int = 0
    twice: int = 0
    orphaned: Counter[str] = field(default_factory=Counter)


def examine(books: Books, *, bill: Sequence[Entry], shift: timedelta = timedelta()) -> Account:
    """Look at everything. `shift` is what the database's clock was moved by."""
    account = Account()
    casts = books.ask("SELECT id, status, round, cost_usd, initiator_id, priority FROM casts_cast")
    _examine_wakeups(account, books, casts=casts, now=books.now() + shift)
    _examine_notifications(account, books, casts=casts)
    _examine_money(account, books, casts=casts, bill=bill)
    return account


def _examine_wakeups(account: Account, books: Books, *, casts: Sequence[Entry], now: datetime) -> None:
    wakeups = {identity(row["cast_id"]): moment(row["due_at"]) for row in books.ask("SELECT cast_id, due_at FROM casts_wakeup")}
    for cast in casts:
        name, status = identity(cast["id"]), cast["status"]
        account.casts[status] += 1
        due_at = wakeups.get(name)
        if status in OVER and due_at is not None:
            account.problems.append(f"Cast {name} is {status}, and has a wakeup.")
        if status not in OVER and (due_at is None or due_at <= now):
            account.problems.append(f"Cast {name} is {status}, and its wakeup is {due_at or 'missing'}; it is {now}.")


def _examine_notifications(account: Account, books: Books, *, casts: Sequence[Entry]) -> None:
    told: dict[tuple[str, int], Counter[tuple[str, str]]] = defaultdict(Counter)
    terminal = "kind IN ('cast.succeeded', 'cast.failed', 'cast.cancelled')"
    for row in books.ask(f"SELECT cast_id, round, channel, target FROM casts_notification WHERE {terminal}"):
        told[identity(row["cast_id"]), row["round"]][row["channel"], row["target"]] += 1
    for cast in casts:
        name = identity(cast["id"])
        for number in range(cast["round"] + 1):
            is_over = number < cast["round"] or cast["status"] in OVER
            heard = told.pop((name, number), Counter())
            is_told = is_over and cast["priority"] != BATCH  # of thousands of pieces nobody wants to be told one by one
            wanted = Counter({("inbox", str(cast["initiator_id"])): 1}) if is_told else Counter()
            if heard != wanted:
                account.problems.append(f"Round {number} of cast {name} ({cast['status']}) was told {dict(heard)}, not {dict(wanted)}.")
    account.problems += [f"Notifications of no round of a cast: {key}" for key in told]


@dataclass(slots=True)
class _Call:
    """A generation, and what the provider billed for it."""

    row: Entry
    bill: list[Entry] = field(default_factory=list)

    @property
    def is_repeatable(self) -> bool:
        return bool(self.row["effects"] == "pure" or self.row["recovery"] == "resend")

    @property
    def is_unknown(self) -> bool:
        return bool(self.row["status"] == "unknown")

    @property
    def is_forgotten(self) -> bool:
        """Tell whether its provider says that it knows of no such job: it will not tell what it billed for it either."""
        return bool(self.row["status"] == "failed" and "job_lost" in str(self.row["error"]))

    @property
    def is_unaccounted(self) -> bool:
        """Tell whether its cost is missing and that is known: until somebody says what became of it, or for good."""
        return self.row["cost_booked_at"] is None and (self.is_unknown or self.is_forgotten)

    @property
    def billed(self) -> Decimal:
        return sum((Decimal(entry["usd"]) for entry in self.bill), Decimal(0))


def _examine_money(account: Account, books: Books, *, casts: Sequence[Entry], bill: Sequence[Entry]) -> None:
    rows = books.ask("""
        SELECT generation.id, generation.cast_id, generation.status, generation.cost_usd, generation.cost_booked_at,
               COALESCE(generation.owed_key, generation.id) AS idempotency_key, generation.job_id, generation.error, tool.effects, tool.recovery
        FROM generations_generation AS generation JOIN spells_tool AS tool ON tool.id = generation.tool_id
        ORDER BY generation.attempt
        """)
    calls = {identity(row["id"]): _Call(row) for row in rows}
    account.generations, account.billed_calls = len(calls), len(bill)
    account.problems += list(_assign(bill, calls))
    of_cast: dict[str, list[_Call]] = defaultdict(list)
    for name, call in calls.items():
        of_cast[identity(call.row["cast_id"])].append(call)
        if len(call.bill) > 1 and not call.is_repeatable:
            account.twice += 1
            account.problems.append(f"Generation {name} was billed {len(call.bill)} times.")
        if call.bill and call.row["effects"] == "pure":
            account.problems.append(f"Generation {name} is of a pure tool, and was billed.")
        if call.bill and call.is_forgotten:
            account.orphaned["forgotten by the provider"] += 1
        if call.is_unknown:
            account.billed_unknown += bool(call.bill)
            account.unknown.append(f"{name}, {'billed' if call.bill else 'not billed'}: {call.row['error']}")
    for cast in casts:
        _balance(account, cast, of_cast[identity(cast["id"])])


def _assign(bill: Iterable[Entry], calls: Mapping[str, _Call]) -> Iterable[str]:
    """Give each line of the bill to its generation; yield what is of none."""
    jobs = {call.row["job_id"]: call for call in calls.values() if call.row["job_id"]}
    keys = {identity(call.row["idempotency_key"]): call for call in reversed([*calls.values()])}  # the first with that key
    for entry in bill:
        told = entry["generation_id"] or (entry["metadata"] or {}).get("generation", "")
        call = calls.get(identity(told)) or jobs.get(entry["id"]) or keys.get(identity(entry["idempotency_key"]))
        if call is None:
            yield f"The provider billed {entry['dialect']} {entry['id']}, which is no call of ours."
        else:
            call.bill.append(entry)


def _balance(account: Account, cast: Entry, calls: Sequence[_Call]) -> None:
    name = identity(cast["id"])
    booked = sum((money(call.row["cost_usd"]) for call in calls if call.row["cost_booked_at"] is not None), Decimal(0))
    billed = sum((call.billed for call in calls), Decimal(0))
    account.booked += booked
    account.billed += billed
    if booked != money(cast["cost_usd"]):
        account.problems.append(f"Cast {name} cost {money(cast['cost_usd'])}, its generations {booked}.")
    missing = sum((call.billed for call in calls if call.is_unaccounted), Decimal(0))
    if abs(billed - missing - booked) > CENT_OF_A_CENT_OF_A_CENT:
        account.problems.append(f"Cast {name} was billed {billed}, of which {missing} are known to be missing, and booked {booked}.")
