"""Letters are compared as they are read: their keys are made anew, by NFKC, case folded, without what shows nothing.

Where two open requests of one organisation are then of one letter, both stay, and the second keeps its former key.
"""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

HIDDEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
LONGEST = 100


def upgrade() -> None:
    for table, owner in (("personalisation_request", "requester_id"), ("activation_request", "organisation_id")):
        _renew(table, owner)


def key_of(number: str) -> str:
    """Return the key of a letter's number as this revision makes it."""
    for _ in range(2):
        number = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", number).casefold())
    seen = [sign for sign in number if unicodedata.category(sign) not in HIDDEN and sign not in FILLERS]
    return "".join("".join("-" if unicodedata.category(sign) == "Pd" else sign for sign in seen).split())


def _renew(table: str, owner: str) -> None:
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(f"SELECT id, {owner}, letter_number, letter_key, letter_date, state FROM {table} ORDER BY id")  # noqa: S608  # our own names
    ).all()
    taken = {(row[1], str(row.letter_date), row.letter_key) for row in rows if row.state not in ("rejected", "cancelled")}
    for row in rows:
        key = key_of(row.letter_number)
        place = (row[1], str(row.letter_date), key)
        if key == row.letter_key or not key or len(key) > LONGEST:
            continue
        if row.state not in ("rejected", "cancelled"):
            if place in taken:
                continue
            taken.add(place)
        connection.execute(sa.text(f"UPDATE {table} SET letter_key = :key WHERE id = :id"), {"key": key, "id": row.id})  # noqa: S608  # as above
