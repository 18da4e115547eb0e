"""Compare stored moments with the present one, as if each might have been written by a wrong clock.

A moment that its writer never sets further ahead than `longest`, and that lies further ahead, counts as not set: nothing waits for years.
The writer's clock may be ahead by SLACK: a lease of another node is not over because its clock is not exactly this one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_

SLACK = timedelta(minutes=1)
"""By how much the clocks of several nodes may differ."""


def has_come(moment: Any, now: datetime, longest: timedelta) -> ColumnElement[bool]:
    """Return the condition that the moment in a column has come, or lies further ahead than it can."""
    return or_(moment <= now, moment > now + longest + SLACK)


def lies_ahead(moment: Any, now: datetime, longest: timedelta) -> ColumnElement[bool]:
    """Return the condition that the moment in a column lies ahead, and not further than it can."""
    return and_(moment > now, moment <= now + longest + SLACK)


def is_within(since: datetime, now: datetime, longest: timedelta) -> bool:
    """Return whether a moment that has passed is at most `longest` old, and does not lie ahead."""
    return -SLACK <= now - since <= longest
