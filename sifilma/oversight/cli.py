"""`sifilma models …`, `sifilma agreements …`: reference data from files, before anybody can sign in."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from sifilma.oversight.import_table import AGREEMENTS, MODELS
from sifilma.web.command import command_context

models = AppGroup("models", help="Models of readers and encoders.")
agreements = AppGroup("agreements", help="Agreements (PKS) of institutions.")
MAX_ROWS = 5000
_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@models.command("import")
@_FILE
def import_models(file: Path) -> None:
    """Import models from FILE (CSV or XLSX: name, manufacturer, function). All or none; known ones are left alone."""
    with command_context() as ctx:
        new, known = MODELS.read(ctx, file.read_bytes(), MAX_ROWS)
        MODELS.register(ctx, new)
    click.echo(f"{len(new)} models added, {known} known already")


@agreements.command("import")
@_FILE
def import_agreements(file: Path) -> None:
    """Import agreements from FILE (CSV or XLSX: institution, number, valid_from, valid_until; dates as 2026-12-31). All or none."""
    with command_context() as ctx:
        new, known = AGREEMENTS.read(ctx, file.read_bytes(), MAX_ROWS)
        AGREEMENTS.register(ctx, new)
    click.echo(f"{len(new)} agreements added, {known} known already")
