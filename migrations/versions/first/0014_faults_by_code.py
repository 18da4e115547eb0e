"""The outbox stores why a message did not leave as `code: detail`. Sentences of earlier versions become codes; others stay."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BEGINNINGS = (
    ("its time was over", "expired"),
    ("this channel is not switched on", "channel-off"),
    ("no message can be made of this (", "unsendable: "),
    ("A sealed value cannot be opened", "key-changed"),
    ("the mail server cannot be reached: ", "mail-unreachable: "),
    ("the mail server refuses this address (", "mail-address-refused: "),
    ("the mail server answers ", "mail-refused: "),
    ("the SMS centre cannot be reached: ", "sms-unreachable: "),
    ("the SMS centre refuses it (status ", "sms-refused: "),
    ("the SMS centre took only a part", "sms-partial"),
    ("the gateway cannot be reached: ", "gateway-unreachable: "),
    ("the gateway answers ", "gateway-refused: "),
)


def upgrade() -> None:
    """A code that ends in `: ` takes the rest of its sentence as the detail, without the closing bracket."""
    outbox = sa.table("outbox_message", sa.column("last_error", sa.String))
    for beginning, code in BEGINNINGS:
        detail = sa.func.rtrim(sa.func.substr(outbox.c.last_error, len(beginning) + 1), ")")
        value = sa.literal(code) + detail if code.endswith(": ") else sa.literal(code)
        op.execute(outbox.update().where(outbox.c.last_error.startswith(beginning, autoescape=True)).values(last_error=value))
