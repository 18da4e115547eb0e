"""Tell an outage of something that all jobs share from a fault that is a row's own.

An outage passes: the row is tried again. A row's own fault does not: the row gets an error, and the rest of the file goes on.
"""

from __future__ import annotations

from sqlalchemy.exc import DatabaseError, DBAPIError, DisconnectionError, TimeoutError

from hsm.errors import HSMError, HSMMisuse
from sifilma.kernel import outages
from sifilma.kernel.errors import Unavailable

HSM, SERVICE = "hsm", "service"
# Classes of SQLSTATE that name what was sent: wrong cardinality, data, integrity, WITH CHECK OPTION, limits of a statement, and what a
# trigger raises. All other classes name the server, its schema, its rights or its load: no row is given up for them.
_OF_THE_ROW = ("21", "22", "23", "44", "54", "P0")


def outage_of(fault: BaseException) -> str:
    """Return what is out of reach (`hsm`, `service`), or an empty text if the fault is no outage."""
    if isinstance(fault, HSMError):
        return "" if isinstance(fault, HSMMisuse) else HSM  # HSMMisuse: a wrong call, or a sealed value that was changed
    # TimeoutError of SQLAlchemy: no connection is free. OSError: the file store, or a file of the keyset.
    shared = isinstance(fault, (DisconnectionError, TimeoutError, Unavailable, OSError))
    return SERVICE if shared or _is_away(fault) else ""


def _is_away(fault: BaseException) -> bool:
    state = getattr(fault.orig, "sqlstate", None) if isinstance(fault, DBAPIError) else None
    if state:
        return not state.startswith(_OF_THE_ROW)
    # DatabaseError itself is a damaged file of SQLite.
    return outages.is_outage(fault) or type(fault) is DatabaseError
