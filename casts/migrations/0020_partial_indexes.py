"""Indexes without what is never looked for by them; the next migration drops those that they stand for.

Events of Grimoire itself have no actor, messages of the inbox no id to be found by. Casts that ended are pruned in the
order of their ends alone. What keeps a message from being told twice begins with its cast: of all messages, it is the
index of the cast as well.
"""

from django.db import migrations, models
from django.db.models.functions import Cast, Coalesce


class Migration(migrations.Migration):
    dependencies = [("casts", "0019_fewer_indexes")]
    operations = [
        migrations.AddIndex(
            model_name="cast",
            index=models.Index(condition=models.Q(("finished_at__isnull", False)), fields=["finished_at"], name="cast_by_end"),
        ),
        migrations.AddIndex(
            model_name="castevent",
            index=models.Index(condition=models.Q(("actor__isnull", False)), fields=["actor"], name="castevent_of_actor"),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.UniqueConstraint(
                models.F("cast"),
                models.F("round"),
                models.F("kind"),
                models.F("channel"),
                models.F("target"),
                Coalesce(Cast("generation", models.CharField()), models.Value("")),
                name="notification_is_sent_once_per_round_and_generation",
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.UniqueConstraint(
                condition=models.Q(("message_id__isnull", False)), fields=("message_id",), name="notification_message_id_is_unique"
            ),
        ),
    ]
