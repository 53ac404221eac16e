from django.apps import AppConfig


class CastsConfig(AppConfig):
    name = "casts"
