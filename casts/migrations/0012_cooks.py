"""Collections, cooks, their pieces and the casts by which these are made."""

import django.db.models.deletion
import django.db.models.functions.text
import django.db.models.lookups
import spells.constraints
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('casts', '0011_shift_requests'),
        ('spells', '0004_providers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Collection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('description', models.TextField(blank=True)),
                ('inputs', models.JSONField(blank=True, default=dict)),
                ('trait_tree', models.JSONField(blank=True, null=True)),
                ('items', models.JSONField(blank=True, null=True)),
                ('seed', models.BigIntegerField(default=0)),
                ('target_supply', models.PositiveIntegerField()),
                ('idempotency_key', models.CharField(blank=True, max_length=255, null=True)),
                ('request_digest', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField()),
                ('owner', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='collections', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='collections', to='spells.spellversion')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['owner', '-id'], name='collection_list_of_owner'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('id', 'version'), name='collection_is_unique_with_its_version'),
                    models.UniqueConstraint(fields=('id', 'owner'), name='collection_is_unique_with_its_owner'),
                    models.UniqueConstraint(condition=models.Q(('idempotency_key__isnull', False)), fields=('owner', 'idempotency_key'), name='collection_idempotency_key_is_unique_per_owner'),
                    models.CheckConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), name='collection_idempotency_key_is_not_empty'),
                    models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='collection_has_a_name'),
                    models.CheckConstraint(condition=models.Q(models.Q(('items__isnull', True), ('trait_tree__isnull', False)), models.Q(('items__isnull', False), ('trait_tree__isnull', True)), _connector='OR'), name='collection_has_a_tree_or_items'),
                    models.CheckConstraint(condition=models.Q(('seed__gte', 0)), name='collection_seed_is_not_negative'),
                    models.CheckConstraint(condition=models.Q(('target_supply__gte', 1)), name='collection_supplies_at_least_one'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Cook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('running', 'running: casts are kept going'), ('paused', 'paused: nothing starts, what runs may end'), ('stopping', 'stopping: what runs is being cancelled'), ('stopped', 'stopped: for good'), ('finished', 'finished: each piece is made, or has failed')], default='running', max_length=10)),
                ('reason', models.TextField(blank=True)),
                ('wanted', models.PositiveIntegerField()),
                ('max_parallel', models.PositiveIntegerField(default=4)),
                ('budget_usd', models.DecimalField(blank=True, decimal_places=10, max_digits=20, null=True)),
                ('quote_usd', models.DecimalField(blank=True, decimal_places=10, max_digits=20, null=True)),
                ('on_failure', models.CharField(choices=[('replace', 'replace: it is cast again, up to so many times'), ('skip', 'skip: the piece has failed, others go on'), ('stop', 'stop: the piece has failed, and the cook pauses when so many fail in a row')], default='replace', max_length=10)),
                ('max_attempts', models.PositiveIntegerField(default=3)),
                ('failures_to_stop', models.PositiveIntegerField(default=3)),
                ('failures_in_a_row', models.PositiveIntegerField(default=0)),
                ('idempotency_key', models.CharField(blank=True, max_length=255, null=True)),
                ('request_digest', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('collection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='cooks', to='casts.collection')),
                ('initiator', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='cooks', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='spells.spellversion')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['initiator', '-id'], name='cook_list_of_initiator'),
                    models.Index(fields=['collection', '-id'], name='cook_list_of_collection'),
                    models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='cook_due'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('id', 'version'), name='cook_is_unique_with_its_version'),
                    spells.constraints.CompositeForeignKey(fields=('collection', 'version'), name='cook_is_of_its_collections_version', to_fields=('id', 'version')),
                    spells.constraints.CompositeForeignKey(fields=('collection', 'initiator'), name='cook_is_of_its_collections_owner', to_fields=('id', 'owner')),
                    models.UniqueConstraint(condition=models.Q(('idempotency_key__isnull', False)), fields=('initiator', 'idempotency_key'), name='cook_idempotency_key_is_unique_per_initiator'),
                    models.CheckConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), name='cook_idempotency_key_is_not_empty'),
                    models.CheckConstraint(condition=models.Q(('status__in', ['running', 'paused', 'stopping', 'stopped', 'finished'])), name='cook_status_is_known'),
                    models.CheckConstraint(condition=models.Q(('on_failure__in', ['replace', 'skip', 'stop'])), name='cook_on_failure_is_known'),
                    models.CheckConstraint(condition=models.Q(models.Q(('status__in', ('running', 'stopping')), _negated=True), ('due_at__isnull', False), _connector='OR'), name='cook_is_due_while_it_goes_on'),
                    models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('status__in', ('stopped', 'finished'))), models.Q(models.Q(('status__in', ('stopped', 'finished')), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='cook_finished_iff_ended'),
                    models.CheckConstraint(condition=models.Q(('status__in', ['running', 'finished']), models.Q(('reason', ''), _negated=True), _connector='OR'), name='cook_that_does_not_go_on_has_a_reason'),
                    models.CheckConstraint(condition=models.Q(('wanted__gte', 1)), name='cook_wants_at_least_one'),
                    models.CheckConstraint(condition=models.Q(('max_parallel__gte', 1), ('max_parallel__lte', 100)), name='cook_parallel_is_bounded'),
                    models.CheckConstraint(condition=models.Q(('max_attempts__gte', 1), ('max_attempts__lte', 10)), name='cook_attempts_are_bounded'),
                    models.CheckConstraint(condition=models.Q(('failures_to_stop__gte', 1)), name='cook_stops_after_at_least_one_failure'),
                    models.CheckConstraint(condition=models.Q(('budget_usd__isnull', True), ('budget_usd__gte', 0), _connector='OR'), name='cook_budget_is_not_negative'),
                    models.CheckConstraint(condition=models.Q(('quote_usd__isnull', True), ('quote_usd__gte', 0), _connector='OR'), name='cook_quote_is_not_negative'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Piece',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('index', models.PositiveIntegerField()),
                ('status', models.CharField(choices=[('pending', 'pending: it waits for its turn'), ('cooking', 'cooking: its cast runs'), ('made', 'made: its cast succeeded'), ('failed', 'failed: it is not cast again by itself')], default='pending', max_length=10)),
                ('traits', models.JSONField(blank=True, default=dict)),
                ('prompts', models.JSONField(blank=True, default=dict)),
                ('item', models.JSONField(blank=True, null=True)),
                ('trait_hash', models.CharField(blank=True, max_length=64)),
                ('redraw', models.PositiveIntegerField(default=0)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('error', models.JSONField(blank=True, null=True)),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('cook', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='pieces', to='casts.cook')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['cook', 'status', 'failures', 'index'], name='piece_in_turn'),
                    models.Index(condition=models.Q(('settled_at__isnull', False)), fields=['cook', 'settled_at'], name='piece_settled'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('id', 'cook'), name='piece_is_unique_with_its_cook'),
                    models.UniqueConstraint(fields=('cook', 'index'), name='piece_index_is_unique_per_cook'),
                    models.UniqueConstraint(condition=models.Q(('trait_hash', ''), _negated=True), fields=('cook', 'trait_hash'), name='piece_traits_are_unique_per_cook'),
                    models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'cooking', 'made', 'failed'])), name='piece_status_is_known'),
                    models.CheckConstraint(condition=models.Q(('trait_hash', ''), django.db.models.lookups.Exact(django.db.models.functions.text.Length('trait_hash'), 64), _connector='OR'), name='piece_trait_hash_is_whole'),
                    models.CheckConstraint(condition=models.Q(models.Q(('settled_at__isnull', False), ('status__in', ('made', 'failed'))), models.Q(models.Q(('status__in', ('made', 'failed')), _negated=True), ('settled_at__isnull', True)), _connector='OR'), name='piece_settled_iff_made_or_failed'),
                    models.CheckConstraint(condition=models.Q(models.Q(('error__isnull', False), ('status', 'failed')), models.Q(models.Q(('status', 'failed'), _negated=True), ('error__isnull', True)), _connector='OR'), name='piece_error_iff_failed'),
                ],
            },
        ),
        migrations.CreateModel(
            name='PieceAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('status', models.CharField(choices=[('live', 'live: its cast has not ended'), ('made', 'made: what the piece shows'), ('failed', 'failed: its cast failed, or was cancelled'), ('superseded', 'superseded: it was made, and another was asked for')], default='live', max_length=10)),
                ('traits', models.JSONField(blank=True, default=dict)),
                ('created_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('cast', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='piece_attempt', to='casts.cast')),
                ('cook', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='piece_attempts', to='casts.cook')),
                ('piece', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='attempts', to='casts.piece')),
                ('version', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='spells.spellversion')),
            ],
            options={
                'indexes': [
                    models.Index(condition=models.Q(('status', 'live')), fields=['cook'], name='pieceattempt_live'),
                ],
                'constraints': [
                    spells.constraints.CompositeForeignKey(fields=('piece', 'cook'), name='pieceattempt_is_of_its_pieces_cook', to_fields=('id', 'cook')),
                    spells.constraints.CompositeForeignKey(fields=('cook', 'version'), name='pieceattempt_is_of_its_cooks_version', to_fields=('id', 'version')),
                    spells.constraints.CompositeForeignKey(fields=('cast', 'version'), name='pieceattempt_is_of_its_casts_version', to_fields=('id', 'version')),
                    models.UniqueConstraint(fields=('piece', 'number'), name='pieceattempt_number_is_unique_per_piece'),
                    models.UniqueConstraint(condition=models.Q(('status__in', ('live', 'made'))), fields=('piece',), name='pieceattempt_one_standing_per_piece'),
                    models.CheckConstraint(condition=models.Q(('status__in', ['live', 'made', 'failed', 'superseded'])), name='pieceattempt_status_is_known'),
                    models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='pieceattempt_numbers_begin_at_one'),
                    models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('status', 'live')), models.Q(models.Q(('status', 'live'), _negated=True), ('ended_at__isnull', False)), _connector='OR'), name='pieceattempt_ended_unless_live'),
                ],
            },
        ),
    ]
