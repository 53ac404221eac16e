"""Standard Webhooks (standardwebhooks.com): the signature by which several providers show that a webhook is theirs."""

import re

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from .configuration import read_secret
from .contract import CallbackRefusedError, Delivery, ToolError

MAX_ID_CHARACTERS = 200
# A sender that changes its secret signs with the old and the new one for a while.
MAX_SIGNATURES = 10
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")


def verify(delivery: Delivery, *, secret_env: str) -> str:
    """Return the id of a delivery that was signed within five minutes of now, by the secret that a variable holds.

    Raises:
        CallbackRefusedError: it was not, or there is no secret to tell by.
    """
    sent = delivery.headers.get("webhook-signature", "")[:2000].split(" ")
    signatures = [signature for signature in sent if _SIGNATURE.fullmatch(signature)][:MAX_SIGNATURES]
    delivery_id = delivery.headers.get("webhook-id", "")
    if not signatures or not 0 < len(delivery_id) <= MAX_ID_CHARACTERS:
        raise CallbackRefusedError("The webhook is not signed.")
    headers = {
        "webhook-id": delivery_id,
        "webhook-timestamp": delivery.headers.get("webhook-timestamp", "")[:20],
        "webhook-signature": " ".join(signatures),
    }
    try:
        webhook = Webhook(read_secret(secret_env, tool=delivery.tool))
    except ToolError as error:
        raise CallbackRefusedError(error.message) from error
    except (ValueError, EmptyWebhookSecretError) as error:
        raise CallbackRefusedError(f"The environment variable {secret_env} holds no signing secret.") from error
    try:
        webhook.verify(delivery.body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        raise CallbackRefusedError(f"The webhook's signature does not hold: {error}.") from error
    return delivery_id
