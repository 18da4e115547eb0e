"""The sheets of region codes that help to fill in a table: the villages of a jurisdiction, and the regions that have offices."""

from __future__ import annotations

from sifilma.documents.tables.columns import AND_NAME
from sifilma.documents.tables.templates import Lookup
from sifilma.kernel.context import Context
from sifilma.kernel.text import say
from sifilma.regions import codes
from sifilma.regions.service import offices_regions, villages_below


def village_codes(ctx: Context, column: str, region: str = "") -> list[Lookup]:
    """Return the villages of the actor's jurisdiction, to be searched by name; of `region` for an organisation that has none.

    There is no such sheet without a region: the country has 83,000 villages.
    """
    above = ctx.actor.region_code or region
    if not above or len(above) not in codes.WIDTHS[:-1]:
        return []
    rows = [
        (f"{code}{AND_NAME}{village}, {district}", village, district, regency, province)
        for code, (village, district, regency, province) in villages_below(ctx.session, above)
    ]
    header = (say("Village code"), say("Village"), say("District"), say("Regency or city"), say("Province"))
    return [Lookup(say("List of village codes"), header, rows, column)]


def office_regions(ctx: Context, column: str) -> Lookup:
    """Return the provinces, regencies and cities, to be searched by name."""
    rows = [(f"{code}{AND_NAME}{name}", name) for code, name in offices_regions(ctx.session)]
    return Lookup(say("List of region codes"), (say("Region code"), say("Name")), rows, column)
