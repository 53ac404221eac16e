"""The indexes that those of the last migration stand for go, and events and messages may be without data.

Apart from building them: a drop locks its table against all, and waits for nothing here. PostgreSQL writes no row for it;
SQLite copies the two tables. Rows that are there keep what they have.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# As Django named them, on both databases.
OF_ACTOR = "casts_castevent_actor_id_b6e2bf31"
OF_CAST = "casts_notification_cast_id_1d034acc"


def name_no_data(apps, schema_editor):
    """Give each event and message an object again."""
    for name in ("CastEvent", "Notification"):
        apps.get_model("casts", name).objects.filter(data__isnull=True).update(data={})


class Migration(migrations.Migration):
    dependencies = [
        ("casts", "0020_partial_indexes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.RemoveIndex(model_name="cast", name="cast_ended"),
        migrations.RemoveConstraint(model_name="notification", name="notification_is_sent_once_per_round"),
        migrations.AlterField(model_name="notification", name="message_id", field=models.UUIDField(blank=True, null=True)),
        migrations.AlterField(model_name="notification", name="data", field=models.JSONField(blank=True, null=True)),
        migrations.AlterField(model_name="castevent", name="data", field=models.JSONField(blank=True, null=True)),
        migrations.RunPython(migrations.RunPython.noop, name_no_data),
        # as changes of the fields, SQLite would copy the whole tables
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(f"DROP INDEX {OF_ACTOR}", f"CREATE INDEX {OF_ACTOR} ON casts_castevent (actor_id)"),
                migrations.RunSQL(f"DROP INDEX {OF_CAST}", f"CREATE INDEX {OF_CAST} ON casts_notification (cast_id)"),
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="castevent",
                    name="actor",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    model_name="notification",
                    name="cast",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notifications",
                        to="casts.cast",
                    ),
                ),
            ],
        ),
    ]
