"""How PostgreSQL stores and cleans our tables. SQLite has nothing of the kind.

Wakeups are few rows that change with each claim: they are cleaned after so many changes, however few rows there are.
The history is millions of rows of which few change: it is cleaned and counted anew for each fiftieth part that comes or
changes, not for each fifth. The sum of costs of a cast changes in place: it has room on its page, so that no index is
written. A generation has none kept free: its end concerns indexes anyway, and leaves the room that polls of jobs need.
"""

from django.db import migrations

HISTORY = {"autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_insert_scale_factor": 0.02, "autovacuum_analyze_scale_factor": 0.02}
SETTINGS = {
    "casts_wakeup": {
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 2000,
        "autovacuum_analyze_scale_factor": 0,
        "autovacuum_analyze_threshold": 2000,
    },
    "casts_cast": {"fillfactor": 90, **HISTORY},
    "generations_generation": HISTORY,
    "casts_castevent": HISTORY,
    "casts_notification": HISTORY,
}


def set_them(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, settings in SETTINGS.items():
            listed = ", ".join(f"{name} = {value}" for name, value in settings.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({listed})")


def take_them_back(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, settings in SETTINGS.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(settings)})")


class Migration(migrations.Migration):
    dependencies = [("casts", "0014_exports"), ("generations", "0009_artifacts_in_use")]
    operations = [migrations.RunPython(set_them, take_them_back)]
