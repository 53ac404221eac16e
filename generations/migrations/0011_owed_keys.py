"""An idempotency key is written only where it is owed to an earlier attempt; else it is the generation's own id.

Attempts that are there keep theirs. PostgreSQL writes no row for it; SQLite copies the table.
"""

from django.db import migrations, models


def write_all_keys(apps, schema_editor):
    """Name the key of each attempt again."""
    apps.get_model("generations", "Generation").objects.filter(owed_key__isnull=True).update(owed_key=models.F("id"))


class Migration(migrations.Migration):
    dependencies = [("generations", "0010_generations_of_a_cast_by_one_index")]
    operations = [
        migrations.RenameField(model_name="generation", old_name="idempotency_key", new_name="owed_key"),
        migrations.AlterField(model_name="generation", name="owed_key", field=models.UUIDField(blank=True, null=True)),
        migrations.RunPython(migrations.RunPython.noop, write_all_keys),
    ]
