"""The inbox of callbacks becomes a list of errands: each is known by the address that it came to, and has a due time."""

import uuid

from django.db import migrations, models
from django.db.models import F, Q

OUTCOMES = [
    ("received", "received: not applied yet"),
    ("applied", "Applied"),
    ("ignored", "ignored: nobody waited for it"),
    ("orphaned", "orphaned: it names no call of ours"),
    ("unreadable", "unreadable: it was given up after several tries; the provider is polled"),
]


def address(apps, schema_editor):
    """Tell where the callbacks that are there had come to, and make due what was not applied."""
    callbacks = apps.get_model("generations", "Callback").objects
    callbacks.filter(generation__isnull=False).update(addressed_to=F("generation_id"))
    callbacks.filter(outcome="received").update(due_at=F("received_at"))


class Migration(migrations.Migration):
    dependencies = [("generations", "0003_tool_of_a_generation")]
    operations = [
        migrations.RemoveConstraint("callback", "callback_delivery_is_stored_once"),
        migrations.RemoveConstraint("callback", "callback_outcome_is_known"),
        migrations.AddField("callback", "addressed_to", models.UUIDField(default=uuid.uuid4), preserve_default=False),
        migrations.AddField("callback", "attempts", models.PositiveIntegerField(default=0)),
        migrations.AddField("callback", "due_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("callback", "is_complete", models.BooleanField(default=True)),
        migrations.AddField("callback", "said", models.TextField(blank=True)),
        migrations.AlterField("callback", "outcome", models.CharField(choices=OUTCOMES, default="received", max_length=10)),
        migrations.RunPython(address, migrations.RunPython.noop),
        migrations.AddIndex("callback", models.Index(name="callback_due", fields=["due_at"], condition=Q(due_at__isnull=False))),
        migrations.AddConstraint(
            "callback", models.UniqueConstraint(name="callback_delivery_is_stored_once", fields=["addressed_to", "delivery_id"])
        ),
        migrations.AddConstraint(
            "callback",
            models.CheckConstraint(
                name="callback_due_iff_received",
                condition=Q(outcome="received", due_at__isnull=False) | (~Q(outcome="received") & Q(due_at__isnull=True)),
            ),
        ),
        migrations.AddConstraint(
            "callback",
            models.CheckConstraint(name="callback_outcome_is_known", condition=Q(outcome__in=[value for value, _ in OUTCOMES])),
        ),
    ]
