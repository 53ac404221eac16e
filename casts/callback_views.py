"""Where providers tell us of jobs. There is no login: the address is signed, and the adapter knows its provider's signature."""

from django.core.exceptions import RequestDataTooBig
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from casts import api_examples as examples
from casts.callbacks import take_in
from generations.callback_addresses import read_signed_id
from generations.callback_payloads import MAX_BODY_BYTES
from generations.views import AnyType

RECEIPT = {
    "type": "object",
    "properties": {"received": {"type": "boolean", "const": True}, "repeated": {"type": "boolean"}},
    "required": ["received", "repeated"],
}


class CallbackView(APIView):
    """Webhooks of providers."""

    authentication_classes: list[type[BaseAuthentication]] = []
    permission_classes: list[type[BasePermission]] = [AllowAny]
    content_negotiation_class = AnyType  # a sender may accept whatever it likes

    @extend_schema(
        operation_id="callbacks_create",
        tags=["callbacks"],
        summary="Tell of a job",
        description=(
            "For providers: the address that was given to them with the job. The body is what they send, of at most 1 MiB; it is "
            "verified as their adapter knows, stored, and applied soon after. A repeat changes nothing."
        ),
        auth=[{}],  # type: ignore[list-item] # the stub knows names alone; an empty one asks for nobody
        examples=[examples.WEBHOOK, examples.RECEIPT],
        parameters=[
            OpenApiParameter("adapter", str, OpenApiParameter.PATH, description="The adapter of the tool that made the call."),
            OpenApiParameter("signed_id", str, OpenApiParameter.PATH, description="The generation, signed."),
        ],
        request={"application/json": {"type": "object", "additionalProperties": True}},
        responses={200: OpenApiResponse(RECEIPT, "It is stored: there is no need to send it again.")},
    )
    def post(self, request: Request, adapter: str, signed_id: str) -> Response:
        generation_id = read_signed_id(signed_id, adapter=adapter)
        if generation_id is None:
            raise NotFound("There is no such address for callbacks.")
        body = request._request.body  # not parsed before it is verified
        if len(body) > MAX_BODY_BYTES:
            raise RequestDataTooBig(f"The body is larger than {MAX_BODY_BYTES:,} bytes.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        is_new = take_in(adapter_key=adapter, generation_id=generation_id, headers=headers, body=body)
        return Response({"received": True, "repeated": not is_new})
