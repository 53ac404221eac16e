from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class SpellsConfig(AppConfig):
    name = "spells"

    def ready(self) -> None:
        from spells import triggers  # noqa: PLC0415 - its models are loaded only now

        pre_migrate.connect(triggers.lift, sender=self, dispatch_uid="spells.triggers.lift")
        post_migrate.connect(triggers.install, sender=self, dispatch_uid="spells.triggers.install")
