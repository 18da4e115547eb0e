"""`sifilma regions …`."""

from __future__ import annotations

from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import select

from sifilma.kernel.db import db
from sifilma.regions import boundaries, loading
from sifilma.regions.models import Region

group = AppGroup("regions", help="Kode wilayah and boundaries.")


@group.command("import")
@click.argument("folder", type=click.Path(path_type=Path, exists=True), default=loading.DEFAULT_FOLDER)
def import_codes(folder: Path) -> None:
    """Import the codes of idn-area-data from FOLDER."""
    with db.sessionmaker() as session, session.begin():
        result = loading.import_codes(session, current_app.extensions["sifilma.clock"].now(), folder)
    click.echo(f"idn-area-data {result.version}: {result.added} added, {result.renamed} renamed, {result.closed} closed")


@group.command("import-boundaries")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--code-property", metavar="NAME", help="The property or column that holds the kode wilayah, where it has no usual name.")
def import_boundaries(file: Path, code_property: str | None) -> None:
    """Put a layer of regency boundaries in force: GeoJSON, GeoParquet (WGS 84) or packed WKB."""
    with db.sessionmaker() as session:
        expected = set(session.scalars(select(Region.code).where(Region.level == 2, Region.valid_to.is_(None))))
    home, now = current_app.extensions["sifilma.settings"].home, current_app.extensions["sifilma.clock"].now()
    record = boundaries.import_layer(home, file, expected, now, code_property)
    click.echo(f"{record['name']}: {record['regencies']} regencies, sha256 {record['sha256']}, in force from now on")
