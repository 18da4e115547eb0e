"""Employee numbers in upper case, phone numbers in E.164, domains of e-mail addresses in lower case.

Two persons of one organisation whose numbers differ in case only are left as they are: `sifilma users clashes` lists them for a person
to decide.
"""

import re
from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

PERSON = sa.table(
    "person", sa.column("id"), sa.column("identity", sa.String), sa.column("id_kind", sa.String), sa.column("id_number", sa.String)
)
ACCOUNT = sa.table("user_account", sa.column("id"), sa.column("email", sa.String), sa.column("phone", sa.String))


def upgrade() -> None:
    connection = op.get_bind()
    people = connection.execute(sa.select(PERSON).where(PERSON.c.id_kind == "employee")).all()
    wanted = {row.id: row.identity.removesuffix(row.id_number) + row.id_number.upper() for row in people}
    times = Counter(wanted.values())
    for row in people:
        identity = wanted[row.id]
        if identity != row.identity and times[identity] == 1:
            values = {"identity": identity, "id_number": row.id_number.upper()}
            connection.execute(PERSON.update().where(PERSON.c.id == row.id).values(values))
    for row in connection.execute(sa.select(ACCOUNT).where(sa.or_(ACCOUNT.c.email != "", ACCOUNT.c.phone != ""))).all():
        values = {"email": _email(row.email), "phone": _phone(row.phone)}
        if values != {"email": row.email, "phone": row.phone}:
            connection.execute(ACCOUNT.update().where(ACCOUNT.c.id == row.id).values(values))


def _email(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _phone(number: str) -> str:
    """A number without `+` is Indonesian: 0812… or 62812…. What is neither stays as it was typed."""
    plain = re.sub(r"[\s().-]", "", number)
    for beginning in ("0", "62"):
        if plain.startswith(beginning):
            return f"+62{plain.removeprefix(beginning)}"
    return plain
