"""The floor of a web process: a Django with nothing in it but a view of DRF, which inserts two rows in one transaction.

No user, no schema, no event: what remains is the server, the framework and the database. It is served by
`uvicorn benchmarks.contenders.empty_api:application`, as Grimoire is; its database is that of DATABASE_URL.
"""

import os
from typing import Any

import django
from django.conf import settings

from benchmarks.contenders.addresses import django_database

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": django_database(os.environ["DATABASE_URL"])},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # tells the length of answers, so that connections are kept
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402 - Django is set up
from django.db import models, transaction  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.generics import CreateAPIView  # noqa: E402
from rest_framework.serializers import BaseSerializer, ModelSerializer  # noqa: E402


class FloorOrder(models.Model):
    inputs = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects: "models.Manager[FloorOrder]" = models.Manager()

    class Meta:
        app_label = "floor"
        db_table = "floor_order"

    def __str__(self) -> str:
        return str(self.pk)


class FloorLine(models.Model):
    order = models.ForeignKey(FloorOrder, on_delete=models.CASCADE)
    due_at = models.DateTimeField(auto_now_add=True)

    objects: "models.Manager[FloorLine]" = models.Manager()

    class Meta:
        app_label = "floor"
        db_table = "floor_line"

    def __str__(self) -> str:
        return str(self.pk)


class OrderSerializer(ModelSerializer[FloorOrder]):
    class Meta:
        model = FloorOrder
        fields = ["id", "inputs", "created_at"]


class CreateOrder(CreateAPIView[FloorOrder]):
    queryset = FloorOrder.objects.all()
    serializer_class = OrderSerializer

    @transaction.atomic
    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        """Insert an order and its line."""
        FloorLine.objects.create(order=serializer.save())


urlpatterns = [path("orders/", CreateOrder.as_view())]
application = get_asgi_application()
