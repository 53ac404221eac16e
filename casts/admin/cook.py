"""Collections, and cooks with their progress."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from casts.clock import database_now
from casts.cooks import verbs
from casts.cooks.progress import CookProgress, progress_of_all
from casts.cooks.refusals import CookRefusedError
from casts.cooks.reviewers import reviewers_of
from casts.models import ENDED_COOKS, Collection, Cook, CookStatus, PieceStatus
from casts.words import told_of
from spells.admin.filters import BegunFilter
from spells.admin.formats import NOTHING, money, rough
from spells.admin.json_html import json_html, visible
from spells.admin.records import RecordAdmin, by_number

from .piece import piece_figure, with_standing

LONGEST_REASON = 500
SHOWN_PIECES = 24
VERBS: Mapping[str, Callable[..., Cook]] = {"pause": verbs.pause, "resume": verbs.resume, "stop": verbs.stop}
MAY = {CookStatus.RUNNING: ("pause", "stop"), CookStatus.PAUSED: ("resume", "stop")}
# As what a badge looks.
COOK_LOOKS = {
    CookStatus.RUNNING: "running",
    CookStatus.PAUSED: "waiting",
    CookStatus.STOPPING: "waiting",
    CookStatus.STOPPED: "cancelled",
    CookStatus.FINISHED: "succeeded",
}


def bar(progress: CookProgress, look: str) -> SafeString:
    return format_html(
        '<progress class="is-{}" value="{}" max="{}">{} %</progress> <span class="quiet">{}/{}</span>',
        *(look, progress.settled, progress.total, progress.percent, progress.settled, progress.total),
    )


@admin.register(Collection)
class CollectionAdmin(RecordAdmin[Collection]):
    """What pieces are made of."""

    list_display = ("id", "name_shown", "spell_shown", "target_supply", "owner", "created_at")
    list_display_links = ("id", "name_shown")
    list_filter = (BegunFilter,)
    list_select_related = ("version__spell", "owner")
    search_fields = ("id",)
    search_help_text = "By id, or by a part of the name."
    ordering = ("-pk",)
    unlisted = ("items", "trait_tree", "inputs", "description", "version__input_schema", "version__outputs")
    fields = (
        "name_shown",
        "spell_shown",
        "owner",
        "reviewers_shown",
        "description",
        "inputs_shown",
        "tree_shown",
        "seed",
        "target_supply",
        "created_at",
    )
    readonly_fields = ("name_shown", "spell_shown", "reviewers_shown", "inputs_shown", "tree_shown")
    empty_list = "No collections match. Keep one with: manage.py cook begin FILE"

    def matches(self, word: str) -> Q:
        return by_number(word) | Q(name__icontains=word)

    @admin.display(description="name")
    def name_shown(self, row: Collection) -> SafeString:
        return format_html("<bdi>{}</bdi>", visible(row.name))

    @admin.display(description="spell")
    def spell_shown(self, row: Collection) -> str:
        return f"{row.version.spell.slug}@{row.version.number}"

    @admin.display(description="reviewers")
    def reviewers_shown(self, row: Collection) -> str:
        return ", ".join(map(visible, reviewers_of(row.pk))) or NOTHING

    @admin.display(description="inputs")
    def inputs_shown(self, row: Collection) -> SafeString:
        return json_html(row.inputs)

    @admin.display(description="made from")
    def tree_shown(self, row: Collection) -> SafeString:
        return json_html(row.trait_tree) if row.items is None else format_html("A list of {} items.", len(row.items))


@admin.register(Cook)
class CookAdmin(RecordAdmin[Cook]):
    """Cooks: how far each is, what it costs, and the verbs."""

    list_display = ("id", "collection_shown", "status_shown", "progress_shown", "cost_shown", "age", "initiator", "reason_shown")
    list_display_links = ("id",)
    list_filter = ("status", BegunFilter)
    list_select_related = ("collection", "initiator")
    search_fields = ("id",)
    search_help_text = "By id, or by a part of the collection's name."
    ordering = ("-pk",)
    unlisted = ("collection__items", "collection__trait_tree", "collection__inputs", "collection__description")
    change_form_template = "admin/casts/cook.html"
    fields = (
        "collection_shown",
        "initiator",
        "max_parallel",
        "budget_shown",
        "quote_shown",
        "on_failure",
        "max_attempts",
        "failures_to_stop",
    )
    readonly_fields = ("collection_shown", "budget_shown", "quote_shown")
    empty_list = "No cooks match. Begin one with: manage.py cook begin FILE"

    def matches(self, word: str) -> Q:
        return by_number(word) | Q(collection__name__icontains=word)

    def completed(self, rows: list[Cook]) -> list[Cook]:
        now = database_now()
        progress = progress_of_all(rows, now=now)
        for row in rows:
            vars(row).update(progress=progress[row.pk], now=now)
        return rows

    @admin.display(description="collection")
    def collection_shown(self, row: Cook) -> SafeString:
        return format_html(
            '<a href="{}"><bdi>{}</bdi></a>',
            reverse("admin:casts_collection_change", args=[row.collection_id]),
            visible(row.collection.name),
        )

    @admin.display(description="status", ordering="status")
    def status_shown(self, row: Cook) -> SafeString:
        return format_html('<span class="badge is-{}">{}</span>', COOK_LOOKS[CookStatus(row.status)], row.status)

    @admin.display(description="progress")
    def progress_shown(self, row: Any) -> SafeString:
        return bar(row.progress, COOK_LOOKS[CookStatus(row.status)])

    @admin.display(description="cost")
    def cost_shown(self, row: Any) -> str:
        quote = "" if row.quote_usd is None else f" of about {money(row.quote_usd)}"
        return f"{money(row.progress.cost_usd)}{quote}"

    @admin.display(description="age")
    def age(self, row: Any) -> SafeString:
        age = rough((row.now - row.created_at).total_seconds())
        return format_html('<time datetime="{0}" title="{0}">{1}</time>', row.created_at.isoformat(), age)

    @admin.display(description="reason")
    def reason_shown(self, row: Cook) -> SafeString | str:
        return format_html('<bdi title="{0}">{0}</bdi>', visible(row.reason)) if row.reason else NOTHING

    @admin.display(description="budget")
    def budget_shown(self, row: Cook) -> str:
        return NOTHING if row.budget_usd is None else money(row.budget_usd)

    @admin.display(description="quote")
    def quote_shown(self, row: Cook) -> str:
        return "not known" if row.quote_usd is None else money(row.quote_usd)

    # The page of one

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(require_POST(self.verb_view))
        return [path("<int:pk>/verb/<slug:verb>/", act, name="casts_cook_verb"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        cook: Cook | None = options.get("obj")
        panel = {} if cook is None else self._panel(request, cook)
        return super().render_change_form(request, {**context, **panel}, *args, **options)

    def _panel(self, request: HttpRequest, cook: Cook) -> dict[str, Any]:
        now = database_now()
        progress = progress_of_all([cook], now=now)[cook.pk]
        may = MAY.get(CookStatus(cook.status), ()) if request.user.has_perm("casts.change_cook") else ()
        made = with_standing(cook.pieces.filter(status=PieceStatus.MADE).order_by("-settled_at"))[:SHOWN_PIECES]
        return {
            "cook": cook,
            "title": f"Cook {cook.pk} of {visible(cook.collection.name)}",
            "subtitle": None,
            "status_badge": self.status_shown(cook),
            "bar": bar(progress, COOK_LOOKS[CookStatus(cook.status)]),
            "told": told_of(progress),
            "figures": [piece_figure(piece) for piece in made],
            "pieces_url": f"{reverse('admin:casts_piece_changelist')}?cook={cook.pk}",
            "verbs": [(verb, reverse("admin:casts_cook_verb", args=[cook.pk, verb])) for verb in may],
            "is_over": cook.status in ENDED_COOKS,
        }

    def verb_view(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """Pause, resume or stop a cook by hand."""
        if not request.user.has_perm("casts.change_cook"):
            raise PermissionDenied
        cook = self.get_object(request, str(pk))
        if cook is None or verb not in VERBS:
            raise Http404("There is no such cook, or nothing of that name to do to it.")
        reason = " ".join(request.POST.get("reason", "").replace("\0", " ").split())[:LONGEST_REASON]
        try:
            changed = VERBS[verb](cook_id=pk, now=database_now(), **({} if verb == "resume" else {"reason": reason}))
        except CookRefusedError as error:
            messages.error(request, str(error))
        else:
            self.log_change(request, cook, f"The cook was made {changed.status}: {reason}")
            messages.success(request, f"Cook {pk} is {changed.status}.")
        return HttpResponseRedirect(reverse("admin:casts_cook_change", args=[pk]))
