"""The wider index of successes goes. Apart from building the other: a drop locks its table against all, and waits for nothing here."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("generations", "0012_narrower_successes")]
    operations = [migrations.RemoveConstraint(model_name="generation", name="generation_one_succeeded_per_step_item")]
