"""Send mail by SMTP (RFC 5321), over TLS unless the server is on this machine."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate

from sifilma.notifications.contract import Fault, Letter, SendFailed

TIMEOUT = 10.0  # seconds
PERMANENT = 500  # 5xx replies are permanent (RFC 5321, section 4.2.1)


@dataclass(frozen=True)
class SmtpSender:
    """`security` is `starttls`, `tls` or `none`. With the first two nothing is sent before the connection is encrypted."""

    host: str
    port: int
    sender: str
    security: str = "starttls"
    user: str = ""
    password: str = ""
    seconds: float = TIMEOUT

    def send(self, letter: Letter) -> str:
        """Hand the message to the server and return its Message-ID. It contains our key, so a repetition can be recognised."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, letter.to, letter.subject
        message["Date"], message["Message-ID"] = formatdate(), f"<{letter.key}@{self.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic replies, please
        message.set_content(letter.text)
        try:
            with self._connection() as server:
                self._secure(server)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as refused:
            code = next(iter(refused.recipients.values()))[0]
            raise SendFailed(Fault.MAIL_ADDRESS_REFUSED, code, for_good=code >= PERMANENT) from refused
        except smtplib.SMTPResponseException as refused:
            raise SendFailed(Fault.MAIL_REFUSED, refused.smtp_code) from refused
        except (smtplib.SMTPException, OSError) as fault:
            raise SendFailed(Fault.MAIL_UNREACHABLE, type(fault).__name__) from fault
        return str(message["Message-ID"])

    def _connection(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.seconds, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=self.seconds)

    def _secure(self, server: smtplib.SMTP) -> None:
        """Encrypt the connection before anything of ours is sent, then sign in."""
        if self.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if self.user:
            server.login(self.user, self.password)
