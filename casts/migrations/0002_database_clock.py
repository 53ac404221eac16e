"""The clock that all statements read: a function, so that tests can move time."""

from django.db import migrations

CREATE = "CREATE OR REPLACE FUNCTION grimoire_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'"
DROP = "DROP FUNCTION IF EXISTS grimoire_now()"


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE)


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP)


class Migration(migrations.Migration):
    dependencies = [("casts", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
