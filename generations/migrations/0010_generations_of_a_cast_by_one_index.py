"""The index of the cast alone goes: the one of its attempts begins with the cast, and serves as well."""

import django.db.models.deletion
from django.db import migrations, models

# As Django named it, on both databases.
INDEX = "generations_generation_cast_id_fdf948f2"


class Migration(migrations.Migration):
    dependencies = [("generations", "0009_artifacts_in_use")]
    operations = [
        # as a change of the field, SQLite would copy the whole table
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(f"DROP INDEX {INDEX}", f"CREATE INDEX {INDEX} ON generations_generation (cast_id)"),
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="generation",
                    name="cast",
                    field=models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="generations", to="casts.cast"
                    ),
                ),
            ],
        ),
    ]
