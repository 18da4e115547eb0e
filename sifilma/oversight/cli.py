"""`sifilma models …`, `sifilma agreements …`: reference data from files, until the oversight work gives it screens."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click
from flask.cli import AppGroup
from sqlalchemy import select

from sifilma.accounts.models import Organisation
from sifilma.cards.models import Function
from sifilma.cards.service import find_models, register_model
from sifilma.documents import sheets
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.oversight.service import register_agreement
from sifilma.web.command import command_context

models = AppGroup("models", help="Models of readers and encoders.")
agreements = AppGroup("agreements", help="Agreements (PKS) of institutions.")
_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@models.command("import")
@_FILE
def import_models(file: Path) -> None:
    """Import models from FILE (CSV or XLSX: name, manufacturer, function). Known ones are left alone."""
    sheet = sheets.read(file.read_bytes(), required=("name", "manufacturer", "function"), optional=(), max_rows=1000, field="file")
    with command_context() as ctx:
        known = {model.name for model in find_models(ctx)}
        new = [row for row in sheet.rows if row.cells["name"] not in known]
        for row in new:
            maker = _organisation(ctx, row.number, "manufacturer", row.cells["manufacturer"])
            register_model(ctx, row.cells["name"], maker.id, Function(row.cells["function"]))
    click.echo(f"{len(new)} models added, {len(sheet.rows) - len(new)} known already")


@agreements.command("import")
@_FILE
def import_agreements(file: Path) -> None:
    """Import agreements from FILE (CSV or XLSX: institution, number, valid_from, valid_until; dates as 2026-12-31)."""
    columns = ("institution", "number", "valid_from", "valid_until")
    sheet = sheets.read(file.read_bytes(), required=columns, optional=(), max_rows=5000, field="file")
    with command_context() as ctx:
        for row in sheet.rows:
            institution = _organisation(ctx, row.number, "institution", row.cells["institution"])
            start, end = date.fromisoformat(row.cells["valid_from"]), date.fromisoformat(row.cells["valid_until"])
            register_agreement(ctx, institution, row.cells["number"], start, end)
    click.echo(f"{len(sheet.rows)} agreements added")


def _organisation(ctx: Context, row: int, kind: str, name: str) -> Organisation:
    found = ctx.session.scalars(select(Organisation).where(Organisation.kind == kind, Organisation.name == name)).first()
    if found is None:
        raise Invalid(f"Row {row}: there is no {kind} called {name!r}.")
    return found
