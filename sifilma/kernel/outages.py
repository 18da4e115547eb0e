"""Tell faults of the database (it is away, restarts, is full) from faults of a statement, by SQLSTATE and by the driver's classes."""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError, InvalidRequestError, PendingRollbackError

_LOST = ("08", "57P", "25006", "25P03", "25P04", "40003", "XX")
"""Beginnings of SQLSTATEs after which a connection is of no use: it is gone, or leads to a server that is going or may not write.

`XX` is here for poolers, which report a crashed server as an internal error.
"""
_BUSY = ("40", "53", "55P03", "57014", "58")
"""Beginnings of SQLSTATEs with which a sound connection says: not now."""
_DRIVER = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_CLOSED = "This connection is closed"
"""What SQLAlchemy's pool says when each connection it tried was dead. The exception has no class of its own."""


def is_outage(fault: BaseException) -> bool:
    """Return whether the database did not or could not answer. The same statement may succeed later."""
    if isinstance(fault, InvalidRequestError):
        return isinstance(fault, PendingRollbackError) or _CLOSED in str(fault)
    if isinstance(fault, DBAPIError) and fault.connection_invalidated:
        return True
    cause = _cause(fault)
    if isinstance(cause, psycopg.Error) and cause.sqlstate:
        return cause.sqlstate.startswith(_BUSY + _LOST) or isinstance(cause, psycopg.OperationalError)
    return is_lost(fault) or isinstance(cause, sqlite3.OperationalError | sqlite3.InterfaceError)


def is_lost(fault: BaseException) -> bool:
    """Return whether the connection to PostgreSQL cannot be used after this fault. What it was doing may have been done."""
    if isinstance(fault, DBAPIError) and fault.connection_invalidated:
        return True
    cause = _cause(fault)
    if not isinstance(cause, psycopg.Error):
        return False
    if cause.sqlstate:
        return cause.sqlstate.startswith(_LOST)
    # Without SQLSTATE the fault is the driver's own. Its other classes mean a mistake of the caller.
    return isinstance(cause, _DRIVER) or type(cause) is psycopg.DatabaseError


def _cause(fault: BaseException) -> BaseException | None:
    return fault.orig if isinstance(fault, DBAPIError) else fault
