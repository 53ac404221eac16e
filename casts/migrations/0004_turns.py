import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def name_initiators(apps, schema_editor):
    """Copy to each wakeup who started its cast."""
    initiator = apps.get_model("casts", "Cast").objects.filter(pk=models.OuterRef("pk")).values("initiator")
    apps.get_model("casts", "Wakeup").objects.update(initiator=models.Subquery(initiator))
    if schema_editor.connection.vendor == "postgresql":
        # no table can be altered while foreign keys of its rows are still to be checked
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        schema_editor.execute("SET CONSTRAINTS ALL DEFERRED")


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("casts", "0003_tallies"),
    ]

    operations = [
        migrations.AddField(
            model_name="wakeup",
            name="initiator",
            field=models.ForeignKey(
                db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.RunPython(name_initiators, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="wakeup",
            name="initiator",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.RemoveConstraint(
            model_name='castevent',
            name='castevent_kind_is_known',
        ),
        migrations.AddField(
            model_name='conductorprocess',
            name='draining',
            field=models.BooleanField(default=False),
        ),
        migrations.AlterField(
            model_name='castevent',
            name='kind',
            field=models.CharField(choices=[('started', 'Started'), ('cancel_requested', 'Cancel Requested'), ('paused', 'Paused'), ('resumed', 'Resumed'), ('retried', 'Retried'), ('reaped', 'Reaped'), ('resolved', 'Resolved'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], max_length=20),
        ),
        migrations.AlterField(
            model_name='wakeup',
            name='priority',
            field=models.SmallIntegerField(choices=[(0, 'interactive: somebody waits for it'), (10, 'batch: it can wait')], default=0),
        ),
        migrations.AddIndex(
            model_name='wakeup',
            index=models.Index(fields=['priority', 'initiator', 'due_at'], name='wakeup_turns_of_initiators'),
        ),
        migrations.AddIndex(
            model_name='wakeup',
            index=models.Index(condition=models.Q(('claimed_until__isnull', False), ('lost__gte', 1)), fields=['due_at'], name='wakeup_suspects'),
        ),
        migrations.AddConstraint(
            model_name='castevent',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['started', 'cancel_requested', 'paused', 'resumed', 'retried', 'reaped', 'resolved', 'succeeded', 'failed', 'cancelled'])), name='castevent_kind_is_known'),
        ),
        migrations.AddConstraint(
            model_name='wakeup',
            constraint=models.CheckConstraint(condition=models.Q(('priority__in', [0, 10])), name='wakeup_priority_is_known'),
        ),
    ]
