"""Steps can be skipped by hand, and casts keep their priority over their ends."""

from django.conf import settings
from django.db import migrations, models


def keep_priorities(apps, schema_editor):
    """Give casts the priority of their wakeups, which was known nowhere else."""
    wakeups = apps.get_model("casts", "Wakeup").objects.exclude(priority=0)
    own = wakeups.filter(cast=models.OuterRef("pk")).values("priority")
    apps.get_model("casts", "Cast").objects.filter(wakeup__in=wakeups).update(priority=models.Subquery(own))


class Migration(migrations.Migration):

    dependencies = [
        ('casts', '0008_traceparent'),
        ('spells', '0004_providers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='castevent',
            name='castevent_kind_is_known',
        ),
        migrations.AddField(
            model_name='cast',
            name='priority',
            field=models.SmallIntegerField(choices=[(0, 'interactive: somebody waits for it'), (10, 'batch: it can wait')], default=0),
        ),
        migrations.RunPython(keep_priorities, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='castevent',
            name='kind',
            field=models.CharField(choices=[('started', 'Started'), ('cancel_requested', 'Cancel Requested'), ('paused', 'Paused'), ('resumed', 'Resumed'), ('retried', 'Retried'), ('reaped', 'Reaped'), ('resolved', 'Resolved'), ('skipped', 'skipped: a step was given an output by hand'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], max_length=20),
        ),
        migrations.AddConstraint(
            model_name='cast',
            constraint=models.CheckConstraint(condition=models.Q(('priority__in', [0, 10])), name='cast_priority_is_known'),
        ),
        migrations.AddConstraint(
            model_name='castevent',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['started', 'cancel_requested', 'paused', 'resumed', 'retried', 'reaped', 'resolved', 'skipped', 'succeeded', 'failed', 'cancelled'])), name='castevent_kind_is_known'),
        ),
    ]
