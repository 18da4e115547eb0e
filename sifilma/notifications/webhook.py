"""Messages by HTTP: an SMS aggregator, or a gateway that fills in a WhatsApp template."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from sifilma.notifications.contract import Fault, Letter, SendFailed

TIMEOUT = 10.0
AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True)
class WebhookSender:
    """POST `{to, text}` as JSON with a bearer token; `Idempotency-Key` tells the receiver of a repetition."""

    url: str
    token: str

    def send(self, letter: Letter) -> str:
        """The receiver's `id`, if its answer has one. 4xx other than 408, 425 and 429 are for good."""
        headers = {"Idempotency-Key": letter.key} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        try:
            answer = httpx.post(self.url, json={"to": letter.to, "text": letter.text}, headers=headers, timeout=TIMEOUT)
        except httpx.HTTPError as fault:
            raise SendFailed(Fault.GATEWAY_UNREACHABLE, type(fault).__name__) from fault
        if answer.is_success:
            return _reference(answer)
        refused = answer.is_client_error and answer.status_code not in AGAIN
        raise SendFailed(Fault.GATEWAY_REFUSED, answer.status_code, for_good=refused)


def _reference(answer: httpx.Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return ""
    return str(found.get("id", ""))[:100] if isinstance(found, dict) else ""
