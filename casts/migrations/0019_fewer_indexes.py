"""The indexes that those of the last migration stand for go, and that of an initiator alone, with which one of them begins.

Apart from building them: a drop locks its table against all, and waits for nothing here.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# As Django named them, on both databases.
OF_INITIATOR = "casts_cast_initiator_id_c971e47d"
OF_SUBSCRIPTION = "casts_notification_subscription_id_dd69f31a"


class Migration(migrations.Migration):
    dependencies = [
        ("casts", "0018_narrower_indexes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.RemoveIndex(model_name="cast", name="cast_list_of_initiator"),
        migrations.RemoveIndex(model_name="notification", name="notification_of_recipient"),
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
