from django.apps import AppConfig
from django.db.models.signals import post_migrate, post_save, pre_migrate


class SpellsConfig(AppConfig):
    name = "spells"

    def ready(self) -> None:
        from spells import plan, triggers  # noqa: PLC0415 - their models are loaded only now

        pre_migrate.connect(triggers.lift, sender=self, dispatch_uid="spells.triggers.lift")
        post_migrate.connect(triggers.install, sender=self, dispatch_uid="spells.triggers.install")
        post_save.connect(plan.forget, sender="spells.SpellVersion", dispatch_uid="spells.plan.forget")
