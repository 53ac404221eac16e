"""Owners are told of their cooks in the inbox."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('casts', '0015_storage_settings'),
        ('generations', '0009_artifacts_in_use'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_kind_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_is_of_a_cast_unless_of_a_webhook',
        ),
        migrations.AddField(
            model_name='notification',
            name='cook',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='casts.cook'),
        ),
        migrations.AlterField(
            model_name='notification',
            name='kind',
            field=models.CharField(choices=[('cast.succeeded', 'Succeeded'), ('cast.failed', 'Failed'), ('cast.cancelled', 'Cancelled'), ('cast.healed', 'cast.healed: it had stalled, and goes on'), ('cast.waiting', 'cast.waiting: it waits for somebody'), ('generation.succeeded', 'Generation Succeeded'), ('generation.failed', 'Generation Failed'), ('generation.cancelled', 'Generation Cancelled'), ('generation.skipped', 'Generation Skipped'), ('generation.unknown', 'generation.unknown: it may have been billed'), ('cook.finished', 'Cook Finished'), ('cook.paused', 'cook.paused: it waits for somebody'), ('webhook.disabled', 'webhook.disabled: nothing more is sent there'), ('webhook.test', 'Webhook Test')], max_length=30),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['cast.succeeded', 'cast.failed', 'cast.cancelled', 'cast.healed', 'cast.waiting', 'generation.succeeded', 'generation.failed', 'generation.cancelled', 'generation.skipped', 'generation.unknown', 'cook.finished', 'cook.paused', 'webhook.disabled', 'webhook.test'])), name='notification_kind_is_known'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('cast__isnull', False), ('kind__in', ['webhook.disabled', 'webhook.test', 'cook.finished', 'cook.paused']), _connector='OR'), name='notification_is_of_a_cast_a_cook_or_a_webhook'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cast__isnull', True), ('channel', 'inbox'), ('cook__isnull', False), ('kind__in', ('cook.finished', 'cook.paused'))), models.Q(models.Q(('kind__in', ('cook.finished', 'cook.paused')), _negated=True), ('cook__isnull', True)), _connector='OR'), name='notification_names_a_cook_iff_about_one'),
        ),
    ]
