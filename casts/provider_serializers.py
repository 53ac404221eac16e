"""Providers as clients see them: their limits, and whether they are called. Nothing of how they are configured."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from casts.models import BreakerState, Gate
from spells.fields import choice_field
from spells.models import Provider


class ProviderSerializer(serializers.ModelSerializer[Provider]):
    """Somebody else's service that tools call. Needs providers with their gates."""

    state = serializers.SerializerMethodField()
    since = serializers.SerializerMethodField()
    retry_at = serializers.SerializerMethodField()
    quiet_until = serializers.SerializerMethodField()
    tools = serializers.SlugRelatedField[Any](slug_field="slug", many=True, read_only=True)

    class Meta:
        model = Provider
        fields = ["slug", "name", "enabled", "state", "since", "retry_at", "quiet_until", "max_in_flight", "max_per_minute", "tools"]
        read_only_fields = fields

    @extend_schema_field(choice_field(BreakerState, help_text="Of its breaker: no call starts while it is `open`, one while `half_open`."))
    def get_state(self, provider: Provider) -> str:
        return self._gate(provider).state

    @extend_schema_field(serializers.DateTimeField(allow_null=True, help_text="Since when its breaker is as it is."))
    def get_since(self, provider: Provider) -> Any:
        return self._shown("since", provider)

    @extend_schema_field(
        serializers.DateTimeField(allow_null=True, help_text="When one call tries; null while open: an operator opened it.")
    )
    def get_retry_at(self, provider: Provider) -> Any:
        return self._shown("retry_at", provider)

    @extend_schema_field(serializers.DateTimeField(allow_null=True, help_text="It asked for rest until then."))
    def get_quiet_until(self, provider: Provider) -> Any:
        return self._shown("quiet_until", provider)

    def _shown(self, name: str, provider: Provider) -> Any:
        value = getattr(self._gate(provider), name)
        return None if value is None else serializers.DateTimeField().to_representation(value)

    @staticmethod
    def _gate(provider: Provider) -> Gate:
        gate: Gate | None = getattr(provider, "gate", None)
        return gate or Gate()
