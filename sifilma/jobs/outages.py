"""Tell an outage of something that all jobs share from a fault that is a row's own.

An outage passes: the row is tried again. A row's own fault does not: the row gets an error, and the rest of the file goes on.
"""

from __future__ import annotations

from sqlalchemy.exc import DatabaseError, DBAPIError, DisconnectionError, IntegrityError, InterfaceError, OperationalError, TimeoutError

from hsm.errors import HSMError, HSMMisuse
from sifilma.kernel.errors import Unavailable

HSM, SERVICE = "hsm", "service"
# Classes of SQLSTATE that name what was sent: wrong cardinality, data, integrity, WITH CHECK OPTION, limits of a statement, and what a
# trigger raises. All other classes name the server, its schema, its rights or its load.
_OF_THE_ROW = ("21", "22", "23", "44", "54", "P0")


def outage_of(fault: BaseException) -> str:
    """Return what is out of reach (`hsm`, `service`), or an empty text if the fault is no outage."""
    if isinstance(fault, HSMError):
        return "" if isinstance(fault, HSMMisuse) else HSM  # HSMMisuse: a wrong call, or a sealed value that was changed
    if isinstance(fault, DBAPIError):
        return SERVICE if _is_away(fault) else ""
    # TimeoutError of SQLAlchemy: no connection is free. OSError: the file store, or a file of the keyset.
    return SERVICE if isinstance(fault, (DisconnectionError, TimeoutError, Unavailable, OSError)) else ""


def _is_away(fault: DBAPIError) -> bool:
    if fault.connection_invalidated:
        return True
    state = getattr(fault.orig, "sqlstate", None)
    if state:
        return not state.startswith(_OF_THE_ROW)
    if isinstance(fault, IntegrityError):
        return False
    # Without a SQLSTATE: SQLite, or psycopg's own. DatabaseError itself is a damaged file of SQLite.
    return isinstance(fault, OperationalError | InterfaceError) or type(fault) is DatabaseError
