"""Notifications and subscriptions: what people are told, what came of it, and where it goes."""

from typing import Any, TypeVar

from django.contrib import admin, messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from casts.clock import database_now
from casts.models import Notification, NotificationStatus, Subscription
from casts.notifications import outbox, subscriptions
from casts.notifications.outbox import NotSentError
from casts.notifications.subscriptions import WebhookDisabledError
from casts.notifications.words import summary
from generations.admin.generation import short_id
from spells.admin.formats import NOTHING
from spells.admin.json_html import json_html, visible
from spells.admin.records import RecordAdmin
from spells.admin.search import matches_id

M = TypeVar("M", bound=Model)

MOST_AT_ONCE = 200
SHOWN_TRIES = 50
UNDELIVERED = "undelivered"
DISABLED = "An operator disabled it."
# As what a badge looks.
LOOKS = {NotificationStatus.PENDING: "waiting", NotificationStatus.DELIVERED: "succeeded", NotificationStatus.GIVEN_UP: "failed"}


class StatusFilter(admin.SimpleListFilter):
    title = "delivery"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(UNDELIVERED, "not delivered"), *((status, status.replace("_", " ")) for status in NotificationStatus.values)]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Notification]:
        value = self.value()
        if value == UNDELIVERED:
            queryset = queryset.filter(delivered_at__isnull=True)
        elif value in NotificationStatus.values:
            queryset = queryset.in_status(NotificationStatus(value))
        found: QuerySet[Notification] = queryset
        return found


class _ActedOn(RecordAdmin[M]):
    """Rows that no field of can be edited, and that an operator may do something to."""

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"casts.change_{self.opts.model_name}")

    def selected(self, request: HttpRequest, queryset: QuerySet[M]) -> list[M]:
        """Return the rows that were selected; none, with a word about it, if they are too many."""
        rows = list(queryset.order_by("pk")[: MOST_AT_ONCE + 1])
        if len(rows) > MOST_AT_ONCE:
            messages.error(request, f"Nothing was changed: select at most {MOST_AT_ONCE} at once.")
            return []
        return rows


@admin.register(Notification)
class NotificationAdmin(_ActedOn[Notification]):
    """The inboxes of all users, and the outbox."""

    list_display = ("created_at", "kind", "channel", "address", "status_shown", "tries", "due_at", "said_shown", "cast_shown")
    list_display_links = ("created_at",)
    list_filter = (StatusFilter, "channel", "kind")
    list_select_related = ("subscription",)
    search_fields = ("cast_id",)
    search_help_text = "By id of the cast (from 6 digits on), by webhook-id, or by username."
    linked_by = ("cast", "subscription")
    ordering = ("-pk",)
    actions = ("send_again",)
    unlisted = ("data",)
    fields = (
        *("summary_shown", "recipient", "cast_shown", "round", "kind", "channel", "address", "webhook_id", "status_shown", "said_shown"),
        *("tries", "due_at", "created_at", "delivered_at", "given_up_at", "read_at", "data_shown", "tries_shown"),
    )
    readonly_fields = ("summary_shown", "cast_shown", "address", "webhook_id", "status_shown", "said_shown", "data_shown", "tries_shown")
    empty_list = "No notifications match. One is written when a cast ends."

    def matches(self, word: str) -> Q:
        found = Q(recipient__username=word)
        for by_id in (matches_id(word, field="cast_id"), matches_id(word.removeprefix("msg_"), field="message_id")):
            if by_id is not None:
                found |= by_id
        return found

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        return super().get_queryset(request).select_related("subscription")

    @admin.action(description="Send again, now", permissions=["act"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        sent = 0
        for row in self.selected(request, queryset):
            try:
                outbox.send_again(notification_id=row.pk, now=database_now())
            except (NotSentError, WebhookDisabledError) as error:
                messages.error(request, f"{row.pk}: {error}")
            else:
                self.log_change(request, row, "Asked to send it again.")
                sent += 1
        if sent:
            messages.success(request, f"{sent} {'is' if sent == 1 else 'are'} on {'its' if sent == 1 else 'their'} way.")

    @admin.display(description="what")
    def summary_shown(self, row: Notification) -> SafeString:
        return format_html("<bdi>{}</bdi>", visible(summary(row)))

    @admin.display(description="cast", ordering="cast")
    def cast_shown(self, row: Notification) -> SafeString | str:
        if row.cast_id is None:
            return NOTHING
        return format_html('<a href="{}">{}</a>', reverse("admin:casts_cast_change", args=[row.cast_id]), short_id(row.cast_id))

    @admin.display(description="to")
    def address(self, row: Notification) -> SafeString | str:
        if row.subscription is None:
            return NOTHING
        url = reverse("admin:casts_subscription_change", args=[row.subscription.pk])
        return format_html('<a href="{}"><bdi>{}</bdi></a>', url, visible((row.subscription.url or row.target)[:120]))

    @admin.display(description="webhook-id")
    def webhook_id(self, row: Notification) -> str:
        return f"msg_{row.message_id.hex}" if row.message_id else NOTHING

    @admin.display(description="delivery")
    def status_shown(self, row: Notification) -> SafeString:
        return format_html('<span class="badge is-{}">{}</span>', LOOKS[row.status], row.status.replace("_", " "))

    @admin.display(description="last words")
    def said_shown(self, row: Notification) -> SafeString | str:
        return format_html("<bdi>{}</bdi>", visible(row.said[:300])) if row.said else NOTHING

    @admin.display(description="data")
    def data_shown(self, row: Notification) -> SafeString:
        return json_html(row.told)

    @admin.display(description="log")
    def tries_shown(self, row: Notification) -> SafeString | str:
        """Return the tries to send it, the newest first, as a table."""
        tries = list(row.deliveries.order_by("-pk")[:SHOWN_TRIES])
        lines = (
            (
                f"{each.at:%d %b %Y, %H:%M:%S}",
                f"{each.seconds:.2f} s",
                each.status_code or NOTHING,
                visible((each.error or each.answer)[:300]),
            )
            for each in tries
        )
        table = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td><bdi>{}</bdi></td></tr>", lines)
        return format_html("<table><tr><th>at</th><th>took</th><th>answer</th><th>words</th></tr>{}</table>", table) if tries else NOTHING


@admin.register(Subscription)
class SubscriptionAdmin(_ActedOn[Subscription]):
    """Where people are told: webhooks of accounts and of single casts, and e-mail. Secrets are not shown."""

    list_display = ("owner", "channel", "address", "kinds_shown", "state", "failing_since", "cast_shown", "created_at")
    list_display_links = ("owner",)
    list_filter = ("channel", "enabled")
    list_select_related = ("owner",)
    search_fields = ("url",)
    search_help_text = "By a part of the address, by username, or by id of the cast (from 6 digits on)."
    ordering = ("-pk",)
    actions = ("enable", "disable")
    fields = (
        *("owner", "channel", "address", "description", "kinds_shown", "cast_shown", "state", "disabled_at", "disabled_reason"),
        *("failing_since", "rest_until", "former_until", "created_at", "removed_at", "sent_shown"),
    )
    readonly_fields = ("address", "kinds_shown", "cast_shown", "state", "sent_shown")
    empty_list = "Nobody is told beyond their inbox. Users add webhooks and e-mail by the API."

    def matches(self, word: str) -> Q:
        found = Q(url__icontains=word) | Q(owner__username=word)
        by_id = matches_id(word, field="cast_id")
        return found if by_id is None else found | by_id

    @admin.action(description="Enable: send to these webhooks again", permissions=["act"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        rows = [row for row in self.selected(request, queryset) if not row.enabled and row.removed_at is None]
        enabled = subscriptions.enable(webhook_ids=[row.pk for row in rows])
        for row in rows:
            self.log_change(request, row, "Enabled.")
        messages.success(request, f"{enabled} enabled.")

    @admin.action(description="Disable: send nothing more there, and tell the owners", permissions=["act"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        rows = {row.pk: row for row in self.selected(request, queryset)}
        disabled = subscriptions.disable(webhook_ids=rows, reason=DISABLED, now=database_now())
        for pk in disabled:
            self.log_change(request, rows[pk], "Disabled.")
        messages.success(request, f"{len(disabled)} disabled.")

    @admin.display(description="address")
    def address(self, row: Subscription) -> SafeString | str:
        return format_html("<bdi>{}</bdi>", visible((row.url or row.owner.email)[:200])) or NOTHING

    @admin.display(description="events")
    def kinds_shown(self, row: Subscription) -> str:
        return ", ".join(row.kinds) or NOTHING

    @admin.display(description="state")
    def state(self, row: Subscription) -> SafeString:
        if row.removed_at is not None:
            return format_html('<span class="badge is-{}">{}</span>', "cancelled", "removed")
        shown = ("failed", "disabled") if not row.enabled else ("waiting", "failing") if row.failing_since else ("succeeded", "enabled")
        return format_html('<span class="badge is-{}">{}</span>', *shown)

    @admin.display(description="cast")
    def cast_shown(self, row: Subscription) -> SafeString | str:
        if row.cast_id is None:
            return "all of its owner's"
        return format_html('<a href="{}">{}</a>', reverse("admin:casts_cast_change", args=[row.cast_id]), short_id(row.cast_id))

    @admin.display(description="sent")
    def sent_shown(self, row: Subscription) -> SafeString:
        url = f"{reverse('admin:casts_notification_changelist')}?subscription={row.pk}"
        return format_html('<a href="{}">what was, and is to be, sent there</a>', url)
