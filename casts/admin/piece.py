"""Pieces, as a gallery, and what an operator does to many of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from casts.cooks import reviewing
from casts.cooks.refusals import CookRefusedError
from casts.cooks.selecting import Selection
from casts.models import STANDING_ATTEMPTS, Piece, PieceAttempt, PieceStatus
from generations.admin.generation import short_id
from generations.admin.pictures import picture_of
from spells.admin.formats import NOTHING
from spells.admin.json_html import json_html, visible
from spells.admin.records import RecordAdmin, by_number
from spells.problems import ProblemsError

# As what a badge looks.
PIECE_LOOKS = {
    PieceStatus.PENDING: "queued",
    PieceStatus.COOKING: "running",
    PieceStatus.MADE: "succeeded",
    PieceStatus.FAILED: "failed",
}


class RemakeForm(forms.Form):
    """Why pieces are rejected, and with which traits they are cast again."""

    reason = forms.CharField(
        label="Why", max_length=reviewing.MAX_REASON_CHARACTERS, help_text="Kept with your name in the history of each."
    )
    again = forms.ChoiceField(
        label="Cast again with", choices=[("same", "the same traits"), ("redraw", "other traits")], widget=forms.RadioSelect, initial="same"
    )


@admin.register(Piece)
class PieceAdmin(RecordAdmin[Piece]):
    """Pieces, as a gallery."""

    list_display = ("id",)
    list_filter = ("status",)
    linked_by = ("cook",)
    list_select_related = ("cook__collection",)
    list_per_page = 60
    actions_selection_counter = False  # its script counts rows of tables alone
    search_fields = ("id",)
    search_help_text = "By id, or by the beginning of the hash of its traits."
    ordering = ("cook", "index")
    unlisted = ("prompts", "cook__collection__items", "cook__collection__trait_tree", "cook__collection__inputs")
    change_list_template = "admin/casts/pieces.html"
    fields = (
        "figure_shown",
        "cook",
        "index",
        "status",
        "traits_shown",
        "trait_hash",
        "redraw",
        "error_shown",
        "attempts_shown",
        "settled_at",
    )
    readonly_fields = ("figure_shown", "traits_shown", "error_shown", "attempts_shown")
    empty_list = "No pieces match. A cook has its pieces from the beginning."

    actions = ("remake_selected",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        cook = request.GET.get("cook", "")
        of = {"title": f"Pieces of cook {cook}"} if cook.isascii() and cook.isdecimal() else {}
        return super().changelist_view(request, {**of, **(extra_context or {})})

    def has_remake_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("casts.change_cook")

    @admin.action(description="Reject, and have made anew …", permissions=["remake"])
    def remake_selected(self, request: HttpRequest, queryset: QuerySet[Piece]) -> HttpResponse | None:
        """Ask for the reason, then reject the selected pieces of a cook and have them cast again: all of them or none."""
        pieces = list(queryset.order_by("index").values_list("pk", "cook_id")[: reviewing.MAX_REMADE + 1])
        cooks = {cook_id for _, cook_id in pieces}
        if not pieces:
            messages.warning(request, "Nothing was changed: no piece was selected.")
            return None
        if len(cooks) > 1 or len(pieces) > reviewing.MAX_REMADE:
            messages.error(request, f"Nothing was changed: select at most {reviewing.MAX_REMADE} pieces, of one cook.")
            return None
        form = RemakeForm(request.POST if "remake" in request.POST else None)
        if not form.is_valid():
            context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Reject, and have made anew"}
            context |= {"form": form, "ids": [pk for pk, _ in pieces], "cook_id": cooks.pop()}
            return TemplateResponse(request, "admin/casts/remake_selected.html", context, status=422 if form.is_bound else 200)
        self._remake(request, cook_id=cooks.pop(), piece_ids=[pk for pk, _ in pieces], form=form)
        return None

    def _remake(self, request: HttpRequest, *, cook_id: int, piece_ids: list[int], form: "RemakeForm") -> None:
        said: Any = {"reason": form.cleaned_data["reason"], "again": form.cleaned_data["again"]}
        chosen, actor = Selection(piece_ids=piece_ids), request.user.pk
        assert actor is not None  # the admin is for users alone
        try:
            done = reviewing.reject_and_remake(cook_id=cook_id, chosen=chosen, actor_id=actor, **said)
        except (CookRefusedError, ProblemsError) as error:
            messages.error(request, f"Nothing was changed: {error}")
            return
        left = len(piece_ids) - done.decided
        if done.decided:
            some = Piece.objects.filter(pk__in=piece_ids).order_by("index").first()
            assert some is not None  # pieces are never deleted
            self.log_change(request, some, f"{done.decided} pieces of cook {cook_id} were rejected and made anew: {said['reason']}")
            messages.success(request, f"{done.decided} {'piece is' if done.decided == 1 else 'pieces are'} made anew.")
        if left:
            told = "not made, decided on before, or in somebody's hands"
            messages.warning(request, f"{left} {'was' if left == 1 else 'were'} left as {'it is' if left == 1 else 'they are'}: {told}.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Piece]:
        return with_standing(super().get_queryset(request))

    def matches(self, word: str) -> Q:
        return by_number(word) | Q(trait_hash__startswith=word.lower())

    @admin.display(description="made")
    def figure_shown(self, piece: Piece) -> SafeString:
        return format_html('<div class="thumbs is-large">{}</div>', piece_figure(piece))

    @admin.display(description="traits")
    def traits_shown(self, piece: Piece) -> SafeString:
        return json_html(piece.traits if piece.item is None else piece.item, picture=picture_of)

    @admin.display(description="error")
    def error_shown(self, piece: Piece) -> SafeString | str:
        return NOTHING if piece.error is None else json_html(piece.error)

    @admin.display(description="attempts")
    def attempts_shown(self, piece: Piece) -> SafeString:
        rows = [
            (attempt.number, attempt.status, reverse("admin:casts_cast_change", args=[attempt.cast_id]), short_id(attempt.cast_id))
            for attempt in piece.attempts.order_by("number")
        ]
        items = format_html_join("", '<li>{}: {} <a href="{}">{}</a></li>', rows)
        return format_html('<ul class="plain">{}</ul>', items) if rows else SafeString("None yet.")


def with_standing(pieces: QuerySet[Piece]) -> QuerySet[Piece]:
    """Fetch with pieces what was made of them. One query more."""
    standing = PieceAttempt.objects.filter(status__in=STANDING_ATTEMPTS).select_related("cast").only("piece_id", "cast__outputs")
    return pieces.prefetch_related(Prefetch("attempts", standing, to_attr="standing"))


def piece_figure(piece: Any, *, may_be_selected: bool = False) -> SafeString:
    """Return a piece as the gallery draws it: the first picture that its cast has made, or how it stands."""
    outputs = next((attempt.cast.outputs for attempt in piece.standing), None)
    shown = next((found[0] for found in map(picture_of, references(outputs)) if found is not None), None)
    if shown is None:
        shown = format_html('<span class="badge is-{}">{}</span>', PIECE_LOOKS[PieceStatus(piece.status)], piece.status)
    page = reverse("admin:casts_piece_change", args=[piece.pk])
    box = format_html('<input type="checkbox" name="_selected_action" value="{}" aria-label="Select piece {}">', piece.pk, piece.index)
    traits = ", ".join(map(str, piece.traits.values())) if isinstance(piece.traits, dict) else ""
    return format_html(
        '<div class="card"><figure>{}<figcaption><bdi>{}</bdi></figcaption></figure><p>{}<a class="quiet" href="{}">#{}</a></p></div>',
        *(shown, visible(traits[:200]), box if may_be_selected else "", page, piece.index),
    )


def references(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield each object in a JSON value, the outer ones first."""
    stack = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            yield current
            stack.extend(reversed(list(current.values())))
        elif isinstance(current, list):
            stack.extend(reversed(current))
