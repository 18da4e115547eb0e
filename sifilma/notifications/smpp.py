"""Send SMS by SMPP 3.4, which Indonesian operators and aggregators offer."""

from __future__ import annotations

from dataclasses import dataclass

import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm

from sifilma.notifications.contract import Fault, Letter, SendFailed

TIMEOUT = 10  # seconds
FOR_GOOD = frozenset({smpplib.consts.SMPP_ESME_RINVDSTADR, smpplib.consts.SMPP_ESME_RINVMSGLEN})  # invalid address, invalid length


@dataclass(frozen=True)
class SmppSender:
    """Binds as a transmitter for each message: messages are rare, and a kept connection would have to be watched.

    `source` is the sender's name on the phone.
    """

    host: str
    port: int
    system_id: str
    password: str
    source: str

    def send(self, letter: Letter) -> str:
        """Submit every part of the text and return the identifier of the last. The text is encoded as GSM 7-bit or UCS-2 and split."""
        parts, encoding, kind = smpplib.gsm.make_parts(letter.text)
        client = smpplib.client.Client(self.host, self.port, timeout=TIMEOUT, allow_unknown_opt_params=True)
        references: list[str] = []
        client.set_message_sent_handler(lambda pdu: references.append(_text(pdu.message_id)))
        try:
            client.connect()
            client.bind_transmitter(system_id=self.system_id, password=self.password)
            for part in parts:
                client.send_message(
                    source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
                    source_addr=self.source,
                    dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                    dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                    destination_addr=letter.to.lstrip("+"),
                    short_message=part,
                    data_coding=encoding,
                    esm_class=kind,
                    registered_delivery=True,
                )
                client.read_once()  # the answer to this part, which calls the handler with its reference
        except smpplib.exceptions.PDUError as refused:
            raise SendFailed(Fault.SMS_REFUSED, refused.args[-1], for_good=refused.args[-1] in FOR_GOOD) from refused
        except (smpplib.exceptions.ConnectionError, smpplib.exceptions.UnknownCommandError, OSError) as fault:
            raise SendFailed(Fault.SMS_UNREACHABLE, type(fault).__name__) from fault
        finally:
            _leave(client)
        if len(references) != len(parts):
            raise SendFailed(Fault.SMS_PARTIAL)
        return references[-1]


def _text(value: bytes | str | None) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")


def _leave(client: smpplib.client.Client) -> None:
    """Unbind and disconnect. Errors are ignored, because what was submitted stays submitted."""
    try:
        if client.state in (smpplib.consts.SMPP_CLIENT_STATE_BOUND_TX, smpplib.consts.SMPP_CLIENT_STATE_BOUND_TRX):
            client.unbind()
    except (smpplib.exceptions.ConnectionError, smpplib.exceptions.PDUError, OSError):
        pass
    finally:
        client.disconnect()
