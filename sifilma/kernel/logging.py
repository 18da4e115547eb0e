"""Structured logs: one JSON object a line, with the request's id, and never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET = frozenset({"password", "token", "code", "pin", "secret", "cookie", "authorization", "otp", "api_key", "conf", "body"})


def configure(level: str, *, as_json: bool) -> None:
    """Set structlog up for this process; the standard library's loggers go the same way."""
    render: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A field that could hold a secret is masked, whoever logged it."""
    for name in event:
        if name.lower() in SECRET:
            event[name] = "***"
    return event
