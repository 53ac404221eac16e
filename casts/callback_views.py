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
from casts.callbacks import NoSuchAddressError, take_in, take_in_of_job
from generations.callback_addresses import read_signed_id
from generations.callback_payloads import MAX_BODY_BYTES
from generations.views import AnyType

RECEIPT = {
    "type": "object",
    "properties": {"received": {"type": "boolean", "const": True}, "repeated": {"type": "boolean"}},
    "required": ["received", "repeated"],
}
RECEIPT_OF_JOB = {
    "type": "object",
    "properties": {**RECEIPT["properties"], "known": {"type": "boolean"}},  # type: ignore[dict-item] # a schema is a dict of anything
    "required": ["received", "repeated", "known"],
}


class _OpenToProviders(APIView):
    authentication_classes: list[type[BaseAuthentication]] = []
    permission_classes: list[type[BasePermission]] = [AllowAny]
    content_negotiation_class = AnyType  # a sender may accept whatever it likes


class CallbackView(_OpenToProviders):
    """Webhooks of providers."""

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
            raise NotFound(NoSuchAddressError.__doc__)
        headers, body = _delivered(request)
        is_new = take_in(adapter_key=adapter, generation_id=generation_id, headers=headers, body=body)
        return Response({"received": True, "repeated": not is_new})


class AdapterCallbackView(_OpenToProviders):
    """Webhooks of providers that know one address for all jobs."""

    @extend_schema(
        operation_id="callbacks_create_for_adapter",
        tags=["callbacks"],
        summary="Tell of a job by its id",
        description=(
            "For providers that send the webhooks of all jobs to one address, which is entered there once, like "
            "`/api/v1/callbacks/openai.responses/`. The body names the job. One that names no job of ours is answered "
            "with `known: false` and not kept."
        ),
        auth=[{}],  # type: ignore[list-item] # as above
        examples=[examples.WEBHOOK_OF_JOB, examples.RECEIPT_OF_JOB],
        parameters=[OpenApiParameter("adapter", str, OpenApiParameter.PATH, description="The adapter of the tools that make the calls.")],
        request={"application/json": {"type": "object", "additionalProperties": True}},
        responses={200: OpenApiResponse(RECEIPT_OF_JOB, "It was received: there is no need to send it again.")},
    )
    def post(self, request: Request, adapter: str) -> Response:
        headers, body = _delivered(request)
        try:
            is_new = take_in_of_job(adapter_key=adapter, headers=headers, body=body)
        except NoSuchAddressError as error:
            raise NotFound(str(error)) from error
        return Response({"received": True, "repeated": is_new is False, "known": is_new is not None})


def _delivered(request: Request) -> tuple[dict[str, str], bytes]:
    """Return the headers of a webhook by their names in lower case, and its body, which is not parsed before it is verified."""
    body = request._request.body
    if len(body) > MAX_BODY_BYTES:
        raise RequestDataTooBig(f"The body is larger than {MAX_BODY_BYTES:,} bytes.")
    return {name.lower(): value for name, value in request.headers.items()}, body
