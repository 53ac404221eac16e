"""The schedules that Grimoire keeps with django-q2, created from code only: one unreadable row there blocks them all."""

from dataclasses import dataclass

from django_q.models import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A schedule as it must stand. `minutes` is the interval."""

    name: str
    func: str
    minutes: int
    purpose: str


REAP = "grimoire: reap"

SCHEDULES = (
    Wanted(
        name="grimoire: continue casts", func="casts.tasks.continue_casts", minutes=1, purpose="conducts when every doorbell was missed"
    ),
    Wanted(name="grimoire: prune", func="casts.tasks.prune", minutes=60, purpose="removes what is kept no longer"),
    Wanted(name=REAP, func="casts.tasks.reap", minutes=1, purpose="restores what must hold of unfinished casts"),
)


def sync_schedules() -> dict[str, str]:
    """Make the schedules stand as the code wants them. Returns, by name, whether each was created, changed or unchanged.

    Those of ours that the code no longer knows are removed.
    """
    told = {}
    for wanted in SCHEDULES:
        values = {"func": wanted.func, "schedule_type": Schedule.MINUTES, "minutes": wanted.minutes, "repeats": -1}
        row, created = Schedule.objects.get_or_create(name=wanted.name, defaults=values)
        differing = {name: value for name, value in values.items() if getattr(row, name) != value}
        if differing:
            Schedule.objects.filter(pk=row.pk).update(**differing)
        told[wanted.name] = "created" if created else "changed" if differing else "unchanged"
    gone = Schedule.objects.filter(name__startswith="grimoire: ").exclude(name__in=told)
    for name in gone.values_list("name", flat=True):
        told[name] = "removed"
    gone.delete()
    return told
