"""Cooks are told by webhook and e-mail, too; exports are begun under idempotency keys; collections name reviewers and keep artefacts."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('casts', '0016_cooks_are_told'),
        ('generations', '0010_generations_of_a_cast_by_one_index'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CollectionArtifact',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
        ),
        migrations.CreateModel(
            name='CollectionReviewer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='notification',
            name='notification_names_a_cook_iff_about_one',
        ),
        migrations.AddField(
            model_name='export',
            name='idempotency_key',
            field=models.CharField(blank=True, max_length=255, null=True),
        ),
        migrations.AddField(
            model_name='export',
            name='request_digest',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key__isnull', False)), fields=('requested_by', 'idempotency_key'), name='export_idempotency_key_is_unique_per_requester'),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.CheckConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), name='export_idempotency_key_is_not_empty'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cast__isnull', True), ('cook__isnull', False), ('kind__in', ('cook.finished', 'cook.paused'))), models.Q(models.Q(('kind__in', ('cook.finished', 'cook.paused')), _negated=True), ('cook__isnull', True)), _connector='OR'), name='notification_names_a_cook_iff_about_one'),
        ),
        migrations.AddField(
            model_name='collectionartifact',
            name='artifact',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='generations.artifact'),
        ),
        migrations.AddField(
            model_name='collectionartifact',
            name='collection',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='casts.collection'),
        ),
        migrations.AddField(
            model_name='collection',
            name='artifacts',
            field=models.ManyToManyField(related_name='+', through='casts.CollectionArtifact', to='generations.artifact'),
        ),
        migrations.AddField(
            model_name='collectionreviewer',
            name='collection',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='casts.collection'),
        ),
        migrations.AddField(
            model_name='collectionreviewer',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='collection',
            name='reviewers',
            field=models.ManyToManyField(related_name='+', through='casts.CollectionReviewer', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='collectionartifact',
            constraint=models.UniqueConstraint(fields=('collection', 'artifact'), name='collectionartifact_is_named_once'),
        ),
        migrations.AddConstraint(
            model_name='collectionreviewer',
            constraint=models.UniqueConstraint(fields=('collection', 'user'), name='collectionreviewer_is_named_once'),
        ),
    ]
