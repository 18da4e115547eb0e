"""Choose the senders of this installation by its settings."""

from __future__ import annotations

from config.settings import Settings
from sifilma.notifications.console import ConsoleSender
from sifilma.notifications.contract import Channel, Sender
from sifilma.notifications.smpp import SmppSender
from sifilma.notifications.smtp import TIMEOUT, SmtpSender
from sifilma.notifications.webhook import WebhookSender


def senders(settings: Settings, *, seconds: float = TIMEOUT) -> dict[Channel, Sender]:
    """Return a sender for each channel that is switched on. SMS are sent by SMPP, else by the webhook; the demo writes to a file.

    `seconds`: how long one step of sending a mail may take.
    """
    found: dict[Channel, Sender] = {}
    if settings.smtp_host:
        found[Channel.EMAIL] = SmtpSender(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_from,
            settings.smtp_security,
            settings.smtp_user,
            settings.optional_secret("smtp_password"),
            seconds,
        )
    if settings.smpp_host:
        found[Channel.SMS] = SmppSender(
            settings.smpp_host, settings.smpp_port, settings.smpp_system_id, settings.optional_secret("smpp_password"), settings.smpp_source
        )
    elif settings.sms_webhook_url:
        found[Channel.SMS] = WebhookSender(settings.sms_webhook_url, settings.optional_secret("sms_webhook_token"))
    if settings.is_demo:
        console = ConsoleSender(settings.home / "demo" / "messages.txt")
        found = dict.fromkeys(Channel, console) | found  # a configured channel is used in the demo too
    return found
