"""Who looks at a cast, and when: claim, ring, lock, renew and release of wakeups.

Each function here is one statement over a set. Together they are the protocol of leases: a claim is known by its
`epoch`, and whatever its holder writes first locks the wakeup where that epoch still stands.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from casts.models import Cast, Wakeup

from . import shares, sql
from .retrying import LostUpdateError, in_one_statement, in_one_transaction

LEASE_SECONDS = 30.0

# By how much the epochs of a wakeup that is made anew lie beyond all that its predecessor can have given out: at a
# thousand claims a second of this one cast, seven weeks' worth.
EPOCH_STRIDE = 2**32

# A suspect (see `shares`) is given up once it has taken so many holders along: two beside a whole set, the rest alone. One
# that is killed in the single look of an innocent cast happens where workers are killed every few seconds; three do not.
MAX_LOST_CLAIMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to conduct one cast, until its lease runs out or a later epoch takes it.

    `bell` is the count of rings that its holder has seen. `lost` counts the claims in a row before it whose holders
    vanished without one whole look at the cast.
    """

    cast_id: UUID
    epoch: int
    bell: int
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A claim to let go of, and when to look at the cast again unless it rang since `claim.bell`."""

    claim: Claim
    due_at: datetime


def claim(*, limit: int, lease_seconds: float = LEASE_SECONDS, suspects: bool = False) -> list[Claim]:
    """Take up to `limit` due wakeups: interactive before batch, and within each the initiators in turns.

    A cast whose holders vanished twice in a row may be what killed them: it is a suspect, left out here unless
    `suspects` asks for such ones alone. Parking `due_at` at the end of the lease keeps held rows out of the next scan.
    On SQLite it takes the write lock, so `look` comes first.
    """
    return _claim(limit=limit, lease_seconds=lease_seconds, suspects=suspects) if limit > 0 else []


class Due(NamedTuple):
    """What waits for somebody just now: casts, casts under suspicion, gates at which to ring, and what else was asked for."""

    casts: bool
    suspects: bool
    gates: bool
    beside: Sequence[bool] = ()


def look(*, beside: Sequence[str] = ()) -> Due:
    """Tell what is due. One query that reads and locks nothing: most looks find nothing.

    `beside` are conditions in SQL of somebody who looks as often, to whom the answers are told in the same order.
    """
    [(casts, suspects, gates, *others)] = sql.fetch(
        f"""
        WITH clock AS MATERIALIZED (SELECT grimoire_now() AS at)
        SELECT {
            ", ".join(
                (
                    sql.is_any("casts_wakeup", f"{shares.DUE} AND NOT ({shares.SUSPICION})", by="due_at"),
                    sql.is_any("casts_wakeup", f"{shares.DUE} AND {shares.SUSPICION}", by="due_at"),
                    sql.is_any("casts_gate", "ring_at <= (SELECT at FROM clock)", by="ring_at"),
                    *beside,
                )
            )
        }
        """,
        {},
    )
    return Due(casts=bool(casts), suspects=bool(suspects), gates=bool(gates), beside=[bool(each) for each in others])


def is_any_due(*, within_seconds: float = 0.0) -> bool:
    """Tell whether a wakeup that nobody holds is due, or will be within so many seconds. Reads only."""
    statement = f"""
        SELECT 1 FROM casts_wakeup
        WHERE due_at <= (SELECT {sql.now_plus("within")}) AND (claimed_until IS NULL OR claimed_until <= (SELECT grimoire_now()))
        ORDER BY due_at LIMIT 1
        """
    return bool(sql.fetch(statement, {"within": within_seconds}))


@in_one_statement
def _claim(*, limit: int, lease_seconds: float, suspects: bool) -> list[Claim]:
    rows = sql.fetch(
        f"""
        WITH RECURSIVE clock AS MATERIALIZED (SELECT grimoire_now() AS at, {sql.now_plus("lease")} AS lease_end),
        {shares.suspects(limit=limit) if suspects else shares.unsuspected(limit=limit)}
        UPDATE casts_wakeup SET
            epoch = epoch + 1,
            lost = CASE WHEN claimed_until IS NULL THEN 0 ELSE lost + 1 END,
            (claimed_until, due_at) = (SELECT lease_end, lease_end FROM clock)
        FROM due WHERE casts_wakeup.cast_id = due.cast_id
        RETURNING casts_wakeup.cast_id, epoch, bell, lost
        """,
        {**shares.parameters(limit=limit), "lease": lease_seconds},
    )
    return [Claim(cast_id=sql.uuid_of(id_), epoch=epoch, bell=bell, lost=lost) for id_, epoch, bell, lost in rows]


def wake_anew(*, cast: Cast, now: datetime) -> None:
    """Insert a wakeup for a cast that had one before. The cast's row must be locked, so that no other does the same.

    How far the last one had counted may be known to nobody but a holder that still stands. So the new epochs begin a
    stride beyond the beginning of the last ones, which the cast keeps.
    """
    epoch = cast.last_epoch + EPOCH_STRIDE
    Wakeup.objects.create(cast=cast, initiator_id=cast.initiator_id, priority=cast.priority, due_at=now, epoch=epoch)
    Cast.objects.filter(pk=cast.pk).update(last_epoch=epoch)
    cast.last_epoch = epoch


def latest_claims(claims: Iterable[Claim]) -> dict[UUID, Claim]:
    """Return one claim for each cast: where there are several, the last one taken. The others are fenced by it."""
    return {each.cast_id: each for each in sorted(claims, key=lambda claim: claim.epoch)}


def ring(*, cast_id: UUID) -> bool:
    """Ask that the cast be looked at now: the first statement of whoever changes a cast without holding its claim.

    Locks the wakeup, holder or not, and never makes a held one claimable. Returns False when the cast has none: it ended.
    """
    return sql.count(f"{_rung()} WHERE cast_id = %(cast)s", {"cast": sql.id_parameter(cast_id)}) == 1


class Rung(NamedTuple):
    """What came of ringing for casts: those that have no wakeup, since they ended, and those that were taken instead."""

    missing: set[UUID]
    claims: dict[UUID, Claim]


def ring_all(*, cast_ids: Iterable[UUID], room: int = 0, lease_seconds: float = LEASE_SECONDS) -> Rung:
    """Ring for several casts. Their wakeups are locked in order first, so that two such rings cannot deadlock.

    Up to `room` of those that nobody holds are taken at once, as a claim would that came after the ring. While any cast is
    due none is: what waits already has its turn first.
    """
    wanted = sorted(set(cast_ids))
    parameters = {"ids": sql.ids_parameter(wanted), "room": room, "lease": lease_seconds}
    if sql.is_postgresql():
        rows = sql.fetch(f"{_judged(room)} {_rung_or_taken()} FROM judged WHERE {_RETURNING}, is_taken", parameters)
    else:  # which returns nothing but columns of the table that it changes
        columns = {"cast_id": "uuid", "lease_end": "timestamptz", "is_taken": "boolean"}
        judged = sql.fetch(f"{_judged(room)} SELECT {', '.join(columns)} FROM judged", parameters)
        told = sql.rows_parameter(dict(zip(columns, row, strict=True)) for row in judged)
        changed = sql.fetch(f"{_rung_or_taken()} FROM {sql.recordset('judged', columns)} WHERE {_RETURNING}", {"rows": told})
        taken = {cast_id for cast_id, _, is_taken in judged if is_taken}
        rows = [(*row, row[0] in taken) for row in changed]
    claims = {
        (cast_id := sql.uuid_of(id_)): Claim(cast_id=cast_id, epoch=epoch, bell=bell) for id_, epoch, bell, is_taken in rows if is_taken
    }
    return Rung(missing=set(wanted) - {sql.uuid_of(id_) for id_, *_ in rows}, claims=claims)


_RETURNING = "casts_wakeup.cast_id = judged.cast_id RETURNING casts_wakeup.cast_id, epoch, bell"


def _judged(room: int) -> str:
    """Return SQL that locks wakeups in the order of their ids and tells which are taken: free ones, while there is room and none is due."""
    others_wait = sql.is_any("casts_wakeup", shares.DUE, by="due_at") if room > 0 else "true"
    return f"""
        WITH clock AS MATERIALIZED (SELECT grimoire_now() AS at, {sql.now_plus("lease")} AS lease_end),
        locked AS MATERIALIZED (
            SELECT cast_id, claimed_until IS NULL AND NOT {others_wait} AS is_free
            FROM casts_wakeup WHERE {sql.ids_in("cast_id")} ORDER BY cast_id {sql.on_postgresql("FOR UPDATE OF casts_wakeup")}
        ),
        judged AS MATERIALIZED (
            SELECT cast_id, lease_end, is_free AND COUNT(*) FILTER (WHERE is_free) OVER (ORDER BY cast_id) <= %(room)s AS is_taken
            FROM locked CROSS JOIN clock
        )
        """


def _rung_or_taken() -> str:
    """Return SQL that claims the wakeups that are taken, and rings for the others."""
    return f"""
        UPDATE casts_wakeup SET
            epoch = CASE WHEN is_taken THEN epoch + 1 ELSE epoch END,
            lost = CASE WHEN is_taken THEN 0 ELSE lost END,
            claimed_until = CASE WHEN is_taken THEN lease_end ELSE claimed_until END,
            bell = CASE WHEN is_taken THEN bell ELSE bell + 1 END,
            due_at = CASE WHEN is_taken THEN lease_end ELSE {_due_once_rung()} END
        """


def have_missed_none(*, cast_ids: Collection[UUID]) -> None:
    """Start over if one of these casts, for which a ring found no wakeup, has one now. Their rows must be locked.

    It was made meanwhile, by a retry or the reaper. Whoever claimed it has not heard the ring, and what it remembers of the
    cast is not what is about to be written.

    Raises:
        LostUpdateError: that happened.
    """
    if cast_ids and sql.fetch(
        f"SELECT cast_id FROM casts_wakeup WHERE {sql.ids_in('cast_id')}", {"ids": sql.ids_parameter(sorted(cast_ids))}
    ):
        raise LostUpdateError("A cast was woken anew between a ring and the lock on its row.")


def _rung() -> str:
    return f"UPDATE casts_wakeup SET bell = bell + 1, due_at = {_due_once_rung()}"


def _due_once_rung() -> str:
    return f"CASE WHEN claimed_until > grimoire_now() THEN due_at ELSE {sql.least('due_at', 'grimoire_now()')} END"


def ring_free(*, cast_ids: Sequence[UUID]) -> list[UUID]:
    """Ring for those of these casts whose wakeups nobody has locked just now, and return them. Waits for nobody."""
    rows = sql.fetch(
        f"""
        WITH free AS {sql.on_postgresql("MATERIALIZED")} (
            SELECT cast_id FROM casts_wakeup WHERE {sql.ids_in("cast_id")} {sql.on_postgresql("FOR UPDATE SKIP LOCKED")}
        )
        {_rung()}
        WHERE cast_id IN (SELECT cast_id FROM free)
        RETURNING cast_id
        """,
        {"ids": sql.ids_parameter(cast_ids)},
    )
    return [sql.uuid_of(cast_id) for (cast_id,) in rows]


def lock(*, claims: Iterable[Claim]) -> dict[UUID, Claim]:
    """Lock the wakeups whose epoch still stands, in the order of their ids, and return these claims with today's bell.

    A claim that does not come back is fenced: another has taken the cast, or its holder has let go of it, which leaves the
    epoch as it was. Read rows only in later statements: a
    statement that locks and reads sees rows as they were before it waited.
    """
    rows = sql.fetch(
        f"""
        SELECT wakeup.cast_id, wakeup.epoch, wakeup.bell, wakeup.lost
        FROM casts_wakeup AS wakeup JOIN {sql.recordset("mine", {"cast_id": "uuid", "epoch": "bigint"})} USING (cast_id, epoch)
        WHERE wakeup.claimed_until IS NOT NULL
        ORDER BY wakeup.cast_id {sql.on_postgresql("FOR UPDATE OF wakeup")}
        """,
        {"rows": sql.rows_parameter({"cast_id": each.cast_id, "epoch": each.epoch} for each in claims)},
    )
    locked = (Claim(cast_id=sql.uuid_of(id_), epoch=epoch, bell=bell, lost=lost) for id_, epoch, bell, lost in rows)
    return {each.cast_id: each for each in locked}


@in_one_transaction
def renew(*, claims: Sequence[Claim], lease_seconds: float = LEASE_SECONDS) -> dict[UUID, int]:
    """Hold on to claims for another lease. Returns the bell of each cast that is still ours: a changed one rang.

    The rows are locked in order first, so that two renewals cannot deadlock.
    """
    held = lock(claims=claims)
    if not held:
        return {}
    sql.count(
        f"""
        WITH clock AS MATERIALIZED (SELECT {sql.now_plus("lease")} AS lease_end)
        UPDATE casts_wakeup SET (claimed_until, due_at) = (SELECT lease_end, lease_end FROM clock) WHERE {sql.ids_in("cast_id")}
        """,
        {"lease": lease_seconds, "ids": sql.ids_parameter(list(held))},
    )
    return {cast_id: each.bell for cast_id, each in held.items()}


def release(*, releases: Iterable[Release]) -> int:
    """Let go of claims: due again when their holder said, or at once where the bell rang since it looked.

    Returns how many were still held. `claim.bell` must have been read no later than the rows that led to `due_at`.
    """
    rows = [{"cast_id": each.claim.cast_id, "epoch": each.claim.epoch, "seen": each.claim.bell, "due_at": each.due_at} for each in releases]
    if not rows:
        return 0
    columns = {"cast_id": "uuid", "epoch": "bigint", "seen": "bigint", "due_at": "timestamptz"}
    return sql.count(
        f"""
        UPDATE casts_wakeup SET
            claimed_until = NULL,
            lost = 0,
            due_at = CASE WHEN casts_wakeup.bell = back.seen THEN back.due_at ELSE grimoire_now() END
        FROM {sql.recordset("back", columns)}
        WHERE casts_wakeup.cast_id = back.cast_id AND casts_wakeup.epoch = back.epoch
        """,
        {"rows": sql.rows_parameter(rows)},
    )


def acquit(*, claims: Iterable[Claim]) -> None:
    """Note that a whole look at casts was done whose earlier holders vanished, though their claims are kept."""
    ids = [each.cast_id for each in claims if each.lost]
    if ids:
        sql.count(f"UPDATE casts_wakeup SET lost = 0 WHERE {sql.ids_in('cast_id')}", {"ids": sql.ids_parameter(ids)})


def bells(*, cast_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Read how often each of these casts rang. Those that ended are left out."""
    rows = sql.fetch(f"SELECT cast_id, bell FROM casts_wakeup WHERE {sql.ids_in('cast_id')}", {"ids": sql.ids_parameter(cast_ids)})
    return {sql.uuid_of(id_): bell for id_, bell in rows}


@in_one_statement
def hand_back(*, claims: Sequence[Claim]) -> int:
    """Give up claims whose work was cut short: due at once, for anybody."""
    if not claims:
        return 0
    columns = {"cast_id": "uuid", "epoch": "bigint"}
    return sql.count(
        f"""
        UPDATE casts_wakeup SET claimed_until = NULL, due_at = grimoire_now()
        FROM {sql.recordset("back", columns)}
        WHERE casts_wakeup.cast_id = back.cast_id AND casts_wakeup.epoch = back.epoch
        """,
        {"rows": sql.rows_parameter({"cast_id": each.cast_id, "epoch": each.epoch} for each in claims)},
    )
