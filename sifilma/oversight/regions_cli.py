"""`sifilma regions …`."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from sifilma.oversight.regions import bring_codes, bring_layer
from sifilma.regions.loading import DEFAULT_FOLDER
from sifilma.resources import resources
from sifilma.web.command import command_context

group = AppGroup("regions", help="Kode wilayah and boundaries.")


@group.command("import")
@click.argument("folder", type=click.Path(path_type=Path, exists=True), default=DEFAULT_FOLDER)
def import_codes(folder: Path) -> None:
    """Import the codes of idn-area-data from FOLDER."""
    with command_context() as ctx:
        result = bring_codes(ctx, folder)
    click.echo(f"idn-area-data {result.version}: {result.added} added, {result.renamed} renamed, {result.closed} closed")


@group.command("import-boundaries")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--code-property", metavar="NAME", help="The property or column that holds the kode wilayah, where it has no usual name.")
def import_boundaries(file: Path, code_property: str | None) -> None:
    """Put a layer of regency boundaries in force: GeoJSON, GeoParquet (WGS 84) or packed WKB."""
    with command_context() as ctx:
        layer = bring_layer(ctx, resources().settings.home, file, code_property)
    click.echo(f"{layer['name']}: {layer['regencies']} regencies, sha256 {layer['sha256']}, in force from now on")
