"""Send messages by HTTP, to an SMS aggregator or to a gateway that fills in a WhatsApp template."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from sifilma.notifications.contract import Fault, Letter, SendFailed

TIMEOUT = 10.0  # seconds
AGAIN = frozenset({408, 425, 429})  # the 4xx statuses that ask to try again later


@dataclass(frozen=True)
class WebhookSender:
    """Posts `{to, text}` as JSON with a bearer token. `Idempotency-Key` lets the receiver recognise a repetition."""

    url: str
    token: str

    def send(self, letter: Letter) -> str:
        """Send the message and return the receiver's `id` if the answer has one. Raise SendFailed, for good for a 4xx not in AGAIN."""
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
