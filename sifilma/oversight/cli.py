"""`sifilma models …`, `sifilma agreements …`, `sifilma regions …`: import reference data from files. They need no sign-in."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from sifilma.oversight.import_table import AGREEMENTS, MODELS
from sifilma.oversight.region_imports import bring_codes, bring_layer
from sifilma.regions.loading import DEFAULT_FOLDER
from sifilma.resources import resources
from sifilma.web.command import command_context

models = AppGroup("models", help="Models of readers and encoders.")
agreements = AppGroup("agreements", help="Agreements (PKS) of institutions.")
regions = AppGroup("regions", help="Kode wilayah and boundaries.")
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


@regions.command("import")
@click.argument("folder", type=click.Path(path_type=Path, exists=True), default=DEFAULT_FOLDER)
def import_codes(folder: Path) -> None:
    """Import the codes of idn-area-data from FOLDER."""
    with command_context() as ctx:
        result = bring_codes(ctx, folder)
    click.echo(f"idn-area-data {result.version}: {result.added} added, {result.renamed} renamed, {result.closed} closed")


@regions.command("import-boundaries")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--code-property", metavar="NAME", help="The property or column that holds the kode wilayah, where it has no usual name.")
def import_boundaries(file: Path, code_property: str | None) -> None:
    """Put a layer of regency boundaries in force: GeoJSON, GeoParquet (WGS 84) or packed WKB."""
    with command_context() as ctx:
        layer = bring_layer(ctx, resources().settings.home, file, code_property)
    click.echo(f"{layer['name']}: {layer['regencies']} regencies, sha256 {layer['sha256']}, in force from now on")
