"""The application of a command: one that works only where nothing is refused, and one that looks whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.loading import load_settings, load_to_look, read_settings
from config.settings import Settings
from sifilma.activation.trust import ceremonies
from sifilma.app.factory import create_app
from sifilma.kernel.db import make_engine
from sifilma.kernel.installation import require_home
from sifilma.web.application import Application

LOOKS = frozenset({
    ("audit", "checkpoint"), ("audit", "export"), ("audit", "verify"), ("clock", "status"),
    ("db", "check"), ("fsck",), ("hsm", "check"), ("hsm", "keys"), ("jobs", "list"),
})  # fmt: skip
"""The commands that only look: an operator needs them most where something is wrong. All others are refused what the server is refused."""


def application_for(arguments: list[str]) -> Application:
    """Return the application of the command that these arguments name. Raise SettingsError where that command is refused."""
    if not arguments or arguments[0].startswith("-") or _makes_key(arguments):  # the list of commands; a key for another machine
        return create_app(load_to_look())
    return (
        looking() if any(tuple(arguments[: len(names)]) == names for names in LOOKS) else working(mends=arguments[0] in ("hsm", "restore"))
    )


def _makes_key(arguments: list[str]) -> bool:
    """Whether only a key of age is made: on a machine that has no installation, and no settings."""
    return arguments[0] == "backup" and any(one.split("=")[0] == "--make-key" for one in arguments)


def working(settings: Settings | None = None, *, mends: bool = False) -> Application:
    """Return an application that may work on this installation.

    Raise SettingsError if a setting is refused, or if home or database belong to another kind of installation or to another root.
    """
    settings = settings or load_settings()
    require_own(settings, mends=mends)
    return create_app(settings)


def require_own(settings: Settings, *, mends: bool = False) -> None:
    """Raise SettingsError if home or database belong to another installation.

    A database that is away or empty says nothing: the next command asks it again. The connection is this function's own, because server
    processes are forked from the process that calls it.
    """
    require_home(settings)
    engine = make_engine(settings.database, pool_size=1)
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").exists():  # a question would make the file
        return
    try:
        with Session(engine) as session:
            session.connection(execution_options={"sifilma_read_only": True})
            ceremonies.require_database(session, settings, mends=mends)
    except SQLAlchemyError:
        return
    finally:
        engine.dispose()


def looking() -> Application:
    """Return an application for a command that changes nothing. What refuses the start is counted on standard error."""
    if refusals := read_settings().refusals:
        click.echo(f"sifilma: {len(refusals)} settings refuse the start; `sifilma doctor` names them.", err=True)
    return create_app(load_to_look())
