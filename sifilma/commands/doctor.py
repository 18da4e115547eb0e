"""`sifilma doctor`: what is set, missing, weak or away, one line each. It works when parts are down, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import click

from config.loading import Reading, read_settings
from sifilma.app.factory import create_app
from sifilma.commands.doctor_checks import CHECKS, Check
from sifilma.commands.doctor_lines import Level, Line
from sifilma.kernel.db import db
from sifilma.resources import resources
from sifilma.web.application import Application

Told = tuple[str, Line]


def examine(as_json: bool, strict: bool) -> bool:
    """Print a line for each thing that was looked at. Return whether none failed; `strict`: and none is doubtful."""
    reading = read_settings()
    told: list[Told] = []
    for group, line in _look(reading):
        told.append((group, line))
        if not as_json:
            click.echo(f"{line.level:4}  {group:11}  {line.text}")
    levels = {line.level for _, line in told}
    sound = Level.FAIL not in levels and not (strict and Level.WARN in levels)
    click.echo(json.dumps(_document(reading, told, sound), indent=2, ensure_ascii=False) if as_json else _summary(told))
    return sound


def _look(reading: Reading) -> Iterator[Told]:
    app = _application(reading)
    failed = set() if app else {"application"}
    if app is None:
        yield "application", Line(Level.FAIL, "No application can be made of these settings: mend those above all.")
    with _closing(app) if app else nullcontext():
        for check in CHECKS:
            if missing := [need for need in check.needs if need in failed]:
                yield check.group, Line(Level.WARN, f"Not looked at: {missing[0]} failed.")
                failed.add(check.group)
                continue
            for line in _lines(check, reading):
                if line.level is Level.FAIL:
                    failed.add(check.group)
                yield check.group, line


@contextmanager
def _closing(app: Application) -> Iterator[None]:
    """Give the application's context, and close its connections and its token at the end."""
    with app.app_context():
        try:
            yield
        finally:
            resources().hsm.close()
            db.engine.dispose()


def _application(reading: Reading) -> Application | None:
    try:
        return create_app(reading.settings)
    except Exception:  # noqa: BLE001  # a URL that is none, a folder that cannot be made: the checks that need no application go on
        return None


def _lines(check: Check, reading: Reading) -> Iterator[Line]:
    """Look, whatever happens: a check that cannot be made is a finding itself. The fault's text may hold an address or more."""
    try:
        yield from check.look(reading)
    except Exception as fault:  # noqa: BLE001  # the command's edge
        yield Line(Level.FAIL, f"Cannot be looked at ({type(fault).__name__}).")


def _summary(told: list[Told]) -> str:
    count = {level: sum(line.level is level for _, line in told) for level in Level}
    return f"{count[Level.FAIL]} failed, {count[Level.WARN]} to look at, {count[Level.OK]} in order."


def _document(reading: Reading, told: list[Told], sound: bool) -> dict[str, object]:
    lines = [{"group": group, "level": str(line.level), "text": line.text} for group, line in told]
    return {"ok": sound, "env": reading.settings.env, "lines": lines}
