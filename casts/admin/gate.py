"""Providers and gates: limits, what passes, and the breakers with their buttons."""

from collections.abc import Iterable
from typing import Any, TypeVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from casts import engine
from casts.clock import database_now
from casts.engine.owners import Owner, gate_of
from casts.models import BreakerState, Gate
from generations.models import Generation
from spells.admin.formats import NOTHING
from spells.admin.json_html import visible
from spells.admin.records import ListAdmin, RecordAdmin
from spells.models import Provider, Tool

M = TypeVar("M", bound=Model)

VERBS = {"open": engine.open_breaker, "close": engine.close_breaker}
LONGEST_REASON = 500
SHOWN_EVENTS = 50
MOST = 1_000_000
# As what a badge looks.
LOOKS = {BreakerState.CLOSED: "succeeded", BreakerState.OPEN: "failed", BreakerState.HALF_OPEN: "waiting"}


def state_badge(gate: Gate | None) -> SafeString:
    state = BreakerState(gate.state) if gate else BreakerState.CLOSED
    return format_html('<span class="badge is-{}">{}</span>', LOOKS[state], state.replace("_", "-"))


def outlook(gate: Gate | None) -> str:
    """Tell in words whether calls go out, and when again."""
    if gate is None or gate.is_free or (gate.state == BreakerState.CLOSED and gate.quiet_until and gate.quiet_until <= database_now()):
        return "Calls go out."
    if gate.state == BreakerState.OPEN and gate.retry_at is None:
        return "An operator opened it: no call starts until it is closed by hand."
    if gate.state == BreakerState.OPEN:
        return f"No call starts. One tries at {gate.retry_at:%H:%M:%S} UTC."
    if gate.state == BreakerState.HALF_OPEN:
        return "One call tries whether it is back; the others wait for its answer."
    return f"It asked for rest: no call starts before {gate.quiet_until:%H:%M:%S} UTC."


class BreakerAdmin(ListAdmin[M]):
    """Pages with a breaker on them, and what an operator may do to it."""

    change_form_template = "admin/casts/breaker.html"

    def owner_of(self, row: M) -> Owner:
        """Return whose breaker the page of a row shows."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(require_POST(self.breaker_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_breaker"
        return [path("<int:pk>/breaker/<slug:verb>/", act, name=name), *super().get_urls()]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("casts.change_gate")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        row: M | None = options.get("obj")
        panel = {} if row is None else self._panel(request, row)
        return super().render_change_form(request, {**context, **panel}, *args, **options)

    def _panel(self, request: HttpRequest, row: M) -> dict[str, Any]:
        gate = gate_of(self.owner_of(row))
        here = f"admin:{self.opts.app_label}_{self.opts.model_name}_breaker"
        is_shut = gate is not None and not gate.is_free
        verbs = ["close"] if is_shut else ["open"]
        return {
            "gate": gate,
            "state_badge": state_badge(gate),
            "breaker_outlook": outlook(gate),
            "breaker_events": gate.events.select_related("actor").order_by("-pk")[:SHOWN_EVENTS] if gate else [],
            "breaker_verbs": [(verb, reverse(here, args=[row.pk, verb])) for verb in verbs] if self.has_act_permission(request) else [],
        }

    def breaker_view(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """Open or close a breaker by hand, and keep who did it and why."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        row = self.get_object(request, str(pk))
        if row is None or verb not in VERBS:
            raise Http404("There is no such breaker, or nothing of that name to do to it.")
        reason = " ".join(request.POST.get("reason", "").replace("\0", " ").split())[:LONGEST_REASON]
        owner = self.owner_of(row)
        gate = VERBS[verb](owner=owner, reason=reason or "No reason was given.", by=request.user.get_username(), actor_id=request.user.pk)
        self.log_change(request, row, f"The breaker was made {gate.state}: {reason}")
        messages.success(request, f"The breaker of {owner} is {gate.get_state_display()}.")
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk]))


class ProviderForm(forms.ModelForm[Provider]):
    """An operator's limits, within what every database can hold."""

    class Meta:
        model = Provider
        fields = (
            *("slug", "name", "enabled", "max_in_flight", "max_per_minute"),
            *("failures_to_open", "first_wait_seconds", "max_wait_seconds"),
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        bounds = {"max_in_flight": MOST, "max_per_minute": MOST, "failures_to_open": 1000, "first_wait_seconds": 86_400}
        for name, most in {**bounds, "max_wait_seconds": 86_400}.items():
            if (cleaned.get(name) or 0) > most:
                self.add_error(name, f"At most {most:,}.")
        first, longest = cleaned.get("first_wait_seconds"), cleaned.get("max_wait_seconds")
        if first is not None and longest is not None and longest < first:
            self.add_error("max_wait_seconds", "The longest wait cannot be shorter than the first.")
        return cleaned


@admin.register(Provider)
class ProviderAdmin(BreakerAdmin[Provider]):
    """Other people's services, and how they are spared."""

    form = ProviderForm
    list_display = ("slug", "name", "state_shown", "max_in_flight", "max_per_minute", "enabled")
    list_filter = ("enabled",)
    list_select_related = ("gate",)
    search_fields = ("slug", "name")
    search_help_text = "By slug or name."
    ordering = ("slug",)
    actions = None
    readonly_fields = ("tools_shown",)
    empty_list = "No providers match. Those of the built-in tools come in with: manage.py sync_tools"

    def owner_of(self, row: Provider) -> Owner:
        return row

    def matches(self, word: str) -> Q:
        return Q(slug__icontains=word) | Q(name__icontains=word)

    def get_fieldsets(self, request: HttpRequest, obj: Provider | None = None) -> Any:
        return [
            (None, {"fields": ("slug", "name", "enabled", *(() if obj is None else ("tools_shown",)))}),
            ("Limits, over all its tools", {"fields": ("max_in_flight", "max_per_minute")}),
            ("Breaker", {"fields": ("failures_to_open", "first_wait_seconds", "max_wait_seconds")}),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Provider | None = None) -> bool:
        """Allow a provider to go only while no tool is its."""
        is_free = obj is None or not obj.tools.exists()
        return is_free and super().has_delete_permission(request, obj)

    @admin.display(description="state")
    def state_shown(self, provider: Provider) -> SafeString:
        return state_badge(gate_of(provider))

    @admin.display(description="tools")
    def tools_shown(self, provider: Provider) -> str:
        return ", ".join(provider.tools.order_by("slug").values_list("slug", flat=True)[:200]) or "None."


@admin.register(Gate)
class GateAdmin(BreakerAdmin[Gate], RecordAdmin[Gate]):
    """What passes where there are limits, or was trouble. Nothing can be edited: limits stand with the tool or the provider."""

    list_display = ("owner_shown", "kind", "state_shown", "in_flight", "last_minute", "waiting", "error_shown")
    list_filter = ("state",)
    list_select_related = ("tool", "provider")
    search_fields = ("tool__slug", "provider__slug")
    search_help_text = "By slug of the tool or the provider."
    ordering = ("pk",)
    empty_list = "No gates yet. One comes with the first call of a limited tool or provider, or the first trouble with one."
    fields = ("owner_shown", "kind", "in_flight", "last_minute", "waiting", "failures", "wait_seconds", "quiet_until", "last_served")
    readonly_fields = ("owner_shown", "kind", "in_flight", "last_minute", "waiting")

    def owner_of(self, row: Gate) -> Owner:
        return row.owner

    def matches(self, word: str) -> Q:
        return Q(tool__slug__icontains=word) | Q(provider__slug__icontains=word)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Gate]:
        return super().get_queryset(request).select_related("tool", "provider")

    def completed(self, rows: list[Gate]) -> list[Gate]:
        _add_counts(rows)
        return rows

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Gate | None:
        gate = super().get_object(request, object_id, from_field)
        if gate is not None:
            _add_counts([gate])
        return gate

    @admin.display(description="of")
    def owner_shown(self, gate: Gate) -> SafeString:
        name = "spells_provider" if gate.provider else "spells_tool"
        return format_html('<a href="{}">{}</a>', reverse(f"admin:{name}_change", args=[gate.owner.pk]), gate.owner.slug)

    @admin.display(description="kind")
    def kind(self, gate: Gate) -> str:
        return "provider" if gate.provider else "tool"

    @admin.display(description="state")
    def state_shown(self, gate: Gate) -> SafeString:
        return state_badge(gate)

    @admin.display(description="in flight")
    def in_flight(self, gate: Any) -> str:
        return _of(gate.calls, gate.owner.max_in_flight)

    @admin.display(description="last minute")
    def last_minute(self, gate: Any) -> str:
        if gate.owner.max_per_minute is None:
            return NOTHING
        gone = gate.now.timestamp() - 60
        return _of(sum(calls for second, calls in gate.started.items() if int(second) > gone), gate.owner.max_per_minute)

    @admin.display(description="waiting")
    def waiting(self, gate: Any) -> str:
        return f"{gate.crowd:,}" if gate.crowd else NOTHING

    @admin.display(description="last error")
    def error_shown(self, gate: Gate) -> SafeString | str:
        if not gate.errors or not gate.failures:
            return NOTHING
        return format_html("<bdi>{}</bdi>", visible(str(gate.errors[0]["message"])[:120]))


def _of(number: int, limit: int | None) -> str:
    return f"{number:,}" if limit is None else f"{number:,} of {limit:,}"


def _add_counts(gates: Iterable[Gate]) -> None:
    """Count what is in flight and what waits at each of these gates. Four queries, whatever their number."""
    gates, now = list(gates), database_now()
    tools = {
        tool.pk: tool.provider_id
        for tool in Tool.objects.filter(
            Q(pk__in=[gate.tool_id for gate in gates]) | Q(provider__in=[gate.provider_id for gate in gates])
        ).only("provider_id")
    }
    live = Generation.objects.in_flight().filter(tool__in=tools).order_by()
    calls = dict(live.values("tool_id").annotate(number=Count("*")).values_list("tool_id", "number"))
    ids = [gate.pk for gate in gates]
    crowds = dict(Gate.objects.filter(pk__in=ids).annotate(number=Count("waiters")).values_list("pk", "number"))
    for gate in gates:
        mine = [
            tool_id
            for tool_id, provider_id in tools.items()
            if tool_id == gate.tool_id or (provider_id and provider_id == gate.provider_id)
        ]
        vars(gate).update(calls=sum(calls.get(tool_id, 0) for tool_id in mine), crowd=crowds.get(gate.pk, 0), now=now)
