"""Notifications go out: by webhook and e-mail, to those who subscribed, with a log of each try."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def name_recipients(apps, schema_editor):
    """Tell whom the notifications that are there were for. All are of the inbox, where nothing waits."""
    initiator = apps.get_model("casts", "Cast").objects.filter(pk=models.OuterRef("cast")).values("initiator")
    notifications = apps.get_model("casts", "Notification").objects
    notifications.update(recipient=models.Subquery(initiator))
    notifications.filter(delivered_at__isnull=True).update(delivered_at=models.F("created_at"), due_at=None)
    if schema_editor.connection.vendor == "postgresql":
        # no table can be altered while foreign keys of its rows are still to be checked
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        schema_editor.execute("SET CONSTRAINTS ALL DEFERRED")


class Migration(migrations.Migration):

    dependencies = [
        ('casts', '0005_gates'),
        ('generations', '0006_costs_of_tools'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('webhook', 'Webhook'), ('email', 'e-mail')], max_length=10)),
                ('kinds', models.JSONField(default=list)),
                ('url', models.CharField(blank=True, max_length=2000)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('secret', models.TextField(blank=True)),
                ('former_secret', models.TextField(blank=True)),
                ('former_until', models.DateTimeField(blank=True, null=True)),
                ('enabled', models.BooleanField(default=True)),
                ('disabled_at', models.DateTimeField(blank=True, null=True)),
                ('disabled_reason', models.TextField(blank=True)),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('rest_until', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('removed_at', models.DateTimeField(blank=True, null=True)),
                ('cast', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='callback', to='casts.cast')),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('channel__in', ['webhook', 'email'])), name='subscription_channel_is_known'),
                    models.UniqueConstraint(condition=models.Q(('channel', 'email')), fields=('owner',), name='subscription_to_email_is_one_per_owner'),
                    models.CheckConstraint(condition=models.Q(models.Q(('channel', 'webhook'), models.Q(('url', ''), _negated=True)), models.Q(('cast__isnull', True), ('channel', 'email'), ('url', '')), _connector='OR'), name='subscription_has_an_address_iff_webhook'),
                    models.CheckConstraint(condition=models.Q(models.Q(('channel', 'webhook'), ('removed_at__isnull', True), models.Q(('secret', ''), _negated=True)), models.Q(('channel', 'webhook'), ('former_secret', ''), ('removed_at__isnull', False), ('secret', '')), models.Q(('channel', 'email'), ('former_secret', ''), ('secret', '')), _connector='OR'), name='subscription_has_a_secret_iff_webhook_in_use'),
                    models.CheckConstraint(condition=models.Q(models.Q(('former_secret', ''), ('former_until__isnull', True)), models.Q(models.Q(('former_secret', ''), _negated=True), ('former_until__isnull', False)), _connector='OR'), name='subscription_former_secret_has_an_end'),
                    models.CheckConstraint(condition=models.Q(models.Q(('disabled_at__isnull', True), ('disabled_reason', ''), ('enabled', True)), models.Q(('disabled_at__isnull', False), ('enabled', False), models.Q(('disabled_reason', ''), _negated=True)), _connector='OR'), name='subscription_disabled_iff_it_has_a_reason'),
                    models.CheckConstraint(condition=models.Q(('removed_at__isnull', True), ('enabled', False), _connector='OR'), name='subscription_that_was_removed_is_disabled'),
                ],
            },
        ),
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_is_sent_once_per_round',
        ),
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_kind_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_channel_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_due_iff_undelivered',
        ),
        migrations.AddField(
            model_name='notification',
            name='data',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='notification',
            name='generation',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='generations.generation'),
        ),
        migrations.AddField(
            model_name='notification',
            name='given_up_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='notification',
            name='message_id',
            field=models.UUIDField(blank=True, null=True, unique=True),
        ),
        migrations.AddField(
            model_name='notification',
            name='read_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='notification',
            name='recipient',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RunPython(name_recipients, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='notification',
            name='recipient',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='notification',
            name='said',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='notification',
            name='tries',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='notification',
            name='cast',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='casts.cast'),
        ),
        migrations.AlterField(
            model_name='notification',
            name='channel',
            field=models.CharField(choices=[('inbox', 'inbox: shown to the user in the API and the admin'), ('webhook', "webhook: a signed request to an address of the user's"), ('email', 'e-mail')], max_length=20),
        ),
        migrations.AlterField(
            model_name='notification',
            name='kind',
            field=models.CharField(choices=[('cast.succeeded', 'Succeeded'), ('cast.failed', 'Failed'), ('cast.cancelled', 'Cancelled'), ('cast.healed', 'cast.healed: it had stalled, and goes on'), ('cast.waiting', 'cast.waiting: it waits for somebody'), ('generation.succeeded', 'Generation Succeeded'), ('generation.failed', 'Generation Failed'), ('generation.cancelled', 'Generation Cancelled'), ('generation.skipped', 'Generation Skipped'), ('generation.unknown', 'generation.unknown: it may have been billed'), ('webhook.disabled', 'webhook.disabled: nothing more is sent there'), ('webhook.test', 'Webhook Test')], max_length=30),
        ),
        migrations.AlterField(
            model_name='notification',
            name='round',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='notification',
            name='subscription',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.RESTRICT, related_name='notifications', to='casts.subscription'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='notification_due'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(fields=['recipient', '-id'], name='notification_of_recipient'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('channel', 'inbox'), ('read_at__isnull', True)), fields=['recipient'], name='notification_unread'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.UniqueConstraint(condition=models.Q(('generation__isnull', True)), fields=('cast', 'round', 'kind', 'channel', 'target'), name='notification_is_sent_once_per_round'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.UniqueConstraint(condition=models.Q(('generation__isnull', False)), fields=('generation', 'kind', 'channel', 'target'), name='notification_of_a_generation_is_sent_once'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['cast.succeeded', 'cast.failed', 'cast.cancelled', 'cast.healed', 'cast.waiting', 'generation.succeeded', 'generation.failed', 'generation.cancelled', 'generation.skipped', 'generation.unknown', 'webhook.disabled', 'webhook.test'])), name='notification_kind_is_known'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('channel__in', ['inbox', 'webhook', 'email'])), name='notification_channel_is_known'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('cast__isnull', False), ('kind__in', ('webhook.disabled', 'webhook.test')), _connector='OR'), name='notification_is_of_a_cast_unless_of_a_webhook'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('generation__isnull', False), ('kind__in', ('cast.waiting', 'generation.succeeded', 'generation.failed', 'generation.cancelled', 'generation.skipped', 'generation.unknown'))), models.Q(models.Q(('kind__in', ('cast.waiting', 'generation.succeeded', 'generation.failed', 'generation.cancelled', 'generation.skipped', 'generation.unknown')), _negated=True), ('generation__isnull', True)), _connector='OR'), name='notification_names_a_generation_iff_about_one'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('delivered_at__isnull', True), ('due_at__isnull', False), ('given_up_at__isnull', True)), models.Q(('delivered_at__isnull', False), ('due_at__isnull', True), ('given_up_at__isnull', True)), models.Q(('delivered_at__isnull', True), ('due_at__isnull', True), ('given_up_at__isnull', False)), _connector='OR'), name='notification_is_due_or_delivered_or_given_up'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('given_up_at__isnull', True), models.Q(('said', ''), _negated=True), _connector='OR'), name='notification_given_up_has_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('channel', 'inbox'), _negated=True), ('delivered_at__isnull', False), _connector='OR'), name='notification_in_the_inbox_is_delivered'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('channel', 'inbox'), ('message_id__isnull', True), ('subscription__isnull', True)), models.Q(models.Q(('channel', 'inbox'), _negated=True), ('message_id__isnull', False), ('subscription__isnull', False)), _connector='OR'), name='notification_is_sent_by_a_subscription'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('read_at__isnull', True), ('channel', 'inbox'), _connector='OR'), name='notification_is_read_in_the_inbox_alone'),
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('attempt', models.PositiveIntegerField()),
                ('address', models.CharField(max_length=2000)),
                ('at', models.DateTimeField()),
                ('seconds', models.FloatField()),
                ('succeeded', models.BooleanField()),
                ('status_code', models.PositiveIntegerField(blank=True, null=True)),
                ('answer', models.TextField(blank=True)),
                ('error', models.TextField(blank=True)),
                ('notification', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='casts.notification')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('notification', 'attempt'), name='delivery_is_noted_once'),
                    models.CheckConstraint(condition=models.Q(models.Q(('error', ''), ('succeeded', True)), models.Q(('succeeded', False), models.Q(('error', ''), _negated=True)), _connector='OR'), name='delivery_has_an_error_iff_it_failed'),
                ],
                'verbose_name_plural': 'deliveries',
            },
        ),
    ]
