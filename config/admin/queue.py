"""The queue of django-q2, to look at. Its tables are closed: one schedule with unreadable arguments blocks them all."""

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django_q import admin as queue_admin  # noqa: F401 - registers its own pages first, so that ours replace them
from django_q.models import Failure, OrmQ, Schedule, Success

from spells.admin.json_html import visible
from spells.admin.records import RecordAdmin

for _model in (Failure, OrmQ, Schedule, Success):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


@admin.register(Schedule)
class ScheduleAdmin(RecordAdmin[Schedule]):
    """Schedules are made by `manage.py sync_schedules` from code."""

    nouns = ("schedule", "schedules")
    list_display = ("name", "func", "schedule_type", "minutes", "repeats", "next_run")
    search_fields = ("name", "func")
    search_help_text = "By name or function."
    ordering = ("name",)
    empty_list = "No schedules match. Ours come in with: manage.py sync_schedules"

    def matches(self, word: str) -> Q:
        return Q(name__icontains=word) | Q(func__icontains=word)


@admin.register(OrmQ)
class QueuedTaskAdmin(RecordAdmin[OrmQ]):
    """Tasks that wait for a worker of the cluster. A lost one does no harm: wakeups and schedules find what is due."""

    list_display = ("id", "func_shown", "key", "lock")
    ordering = ("-pk",)
    search_fields = ("key",)
    search_help_text = "By key of the cluster."
    fields = ("key", "func_shown", "lock")
    readonly_fields = ("func_shown",)
    empty_list = "The queue is empty."

    def get_readonly_fields(self, request: HttpRequest, obj: OrmQ | None = None) -> list[str]:
        return list(self.fields)

    def matches(self, word: str) -> Q:
        return Q(key=word)

    @admin.display(description="function")
    def func_shown(self, row: OrmQ) -> str:
        """Return the function's name, if the payload bears our signature."""
        name = row.task.get("func")
        return visible(str(name)[:200]) if name else "unreadable"


@admin.register(Failure)
class FailedTaskAdmin(RecordAdmin[Failure]):
    """Tasks that raised. What they should have done is found by the next one; why they did not is worth reading."""

    nouns = ("failed task", "failed tasks")
    list_display = ("name", "func", "started", "stopped", "attempt_count")
    ordering = ("-started",)
    search_fields = ("name", "func")
    search_help_text = "By name or function."
    unlisted = ("args", "kwargs", "result")
    fields = ("name", "func", "started", "stopped", "attempt_count", "result_shown")
    readonly_fields = ("result_shown",)
    empty_list = "No task has failed."

    def get_readonly_fields(self, request: HttpRequest, obj: Failure | None = None) -> list[str]:
        return list(self.fields)

    def matches(self, word: str) -> Q:
        return Q(name__icontains=word) | Q(func__icontains=word)

    @admin.display(description="result")
    def result_shown(self, task: Failure) -> str:
        return visible(str(task.result)[:10_000])
