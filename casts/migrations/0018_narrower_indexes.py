"""Indexes that take less room for what has ended; the next migration drops those that they stand for.

Those of the lists of casts and of messages ended with `id DESC`, so that each new entry came first: its page was parted in
halves again and again, and half of each stayed empty. Read backwards, ascending ones serve as well. Messages in the inbox
have no subscription to be found by.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("casts", "0017_told_cooks_and_reviewers")]
    operations = [
        migrations.AddIndex(model_name="cast", index=models.Index(fields=["initiator", "id"], name="cast_of_initiator")),
        migrations.AddIndex(model_name="notification", index=models.Index(fields=["recipient", "id"], name="notification_to_recipient")),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("subscription__isnull", False)), fields=["subscription"], name="notification_of_subscription"
            ),
        ),
    ]
