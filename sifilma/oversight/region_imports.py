"""Import region codes and boundaries. Each import leaves an audit entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.kernel.context import Context
from sifilma.regions import boundaries, loading
from sifilma.regions.loading import DEFAULT_FOLDER, ImportResult
from sifilma.regions.models import Region


def bring_codes(ctx: Context, folder: Path = DEFAULT_FOLDER) -> ImportResult:
    """Import the region codes and record what changed. Importing the same version again changes nothing and leaves no entry."""
    done = loading.import_codes(ctx.session, ctx.now, folder)
    if done.imported:
        record(
            ctx,
            Action.REGIONS_IMPORT,
            "region_source",
            done.version,
            sha256=done.sha256,
            added=done.added,
            renamed=done.renamed,
            closed=done.closed,
        )
    return done


def bring_layer(ctx: Context, home: Path, file: Path, code_property: str | None = None) -> dict[str, Any]:
    """Put a boundary layer in force and return its record. It must cover the regencies that are valid now.

    The audit entry is written before the layer is in use (`boundaries.import_layer`).
    """
    expected = set(ctx.session.scalars(select(Region.code).where(Region.level == 2, Region.valid_to.is_(None))))

    def note(layer: dict[str, Any]) -> None:
        record(ctx, Action.REGIONS_IMPORT, "boundary_layer", layer["sha256"], name=layer["name"], file_sha256=layer["file_sha256"])

    return boundaries.import_layer(home, file, expected, ctx.now, code_property, note)
