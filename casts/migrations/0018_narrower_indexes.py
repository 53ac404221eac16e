"""Indexes that take less room for what has ended.

Those of the lists of casts and of messages ended with `id DESC`, so that each new entry came first: its page was parted in
halves again and again, and half of each stayed empty. Read backwards, ascending ones serve as well. The index of an
initiator alone goes, since that one begins with it; and messages in the inbox have no subscription to be found by.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# As Django named them, on both databases.
OF_INITIATOR = "casts_cast_initiator_id_c971e47d"
OF_SUBSCRIPTION = "casts_notification_subscription_id_dd69f31a"


class Migration(migrations.Migration):
    dependencies = [
        ("casts", "0017_told_cooks_and_reviewers"),
        ("generations", "0010_generations_of_a_cast_by_one_index"),
        ("spells", "0004_providers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AddIndex(model_name="cast", index=models.Index(fields=["initiator", "id"], name="cast_of_initiator")),
        migrations.RemoveIndex(model_name="cast", name="cast_list_of_initiator"),
        migrations.AddIndex(model_name="notification", index=models.Index(fields=["recipient", "id"], name="notification_to_recipient")),
        migrations.RemoveIndex(model_name="notification", name="notification_of_recipient"),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("subscription__isnull", False)), fields=["subscription"], name="notification_of_subscription"
            ),
        ),
        # as changes of the fields, SQLite would copy the whole tables
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(f"DROP INDEX {OF_INITIATOR}", f"CREATE INDEX {OF_INITIATOR} ON casts_cast (initiator_id)"),
                migrations.RunSQL(
                    f"DROP INDEX {OF_SUBSCRIPTION}", f"CREATE INDEX {OF_SUBSCRIPTION} ON casts_notification (subscription_id)"
                ),
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="cast",
                    name="initiator",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="casts",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    model_name="notification",
                    name="subscription",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="notifications",
                        to="casts.subscription",
                    ),
                ),
            ],
        ),
    ]
