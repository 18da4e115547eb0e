"""Write structured logs to standard error: one JSON object per line, with the request's id, and never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET = frozenset({"password", "token", "code", "pin", "secret", "cookie", "authorization", "otp", "api_key", "conf", "body"})


def configure(level: str, *, as_json: bool) -> None:
    """Set up structlog for this process, and have the warnings of libraries, such as the server's, in the same form.

    Logs below `level` are left out.
    """
    render: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
        structlog.processors.format_exc_info,
    ]
    _take_over(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render], foreign_pre_chain=shared
        )
    )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


class _Lines(logging.StreamHandler[Any]):
    """The handler of what libraries log. Its class tells it from handlers of others, which stay."""


def _take_over(form: logging.Formatter) -> None:
    """Write what libraries log (Python's `logging`, warnings and worse) in this form, once however often it is set up."""
    root, lines = logging.getLogger(), _Lines(sys.stderr)
    for former in [handler for handler in root.handlers if isinstance(handler, _Lines)]:
        root.removeHandler(former)
    lines.setFormatter(form)
    lines.setLevel(logging.WARNING)
    root.addHandler(lines)


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask every field whose name suggests a secret, whichever module logged it."""
    for name in event:
        if name.lower() in SECRET:
            event[name] = "***"
    return event
