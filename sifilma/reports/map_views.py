"""The map of readers: counts by province and regency, the cards of a regency, and the points the map draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for
from flask_babel import gettext
from pydantic import BaseModel, Field

from sifilma.activation.derived.queries import find_lag, is_tallied
from sifilma.documents import list_views, lists
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.regions import codes
from sifilma.regions.service import names_of
from sifilma.reports import reader_locations
from sifilma.reports.reader_locations import Box, Cluster, PlaceFilter
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context
from sifilma.web.states import functions, kind, state

blueprint = Blueprint("map_pages", __name__, url_prefix="/peta", template_folder="templates")
HOLDERS = (OrganisationKind.PROVINCE_OFFICE, OrganisationKind.REGENCY_OFFICE, OrganisationKind.INSTITUTION)


class View(BaseModel):
    """The part of the map that is shown. Degrees are WGS 84."""

    zoom: int = Field(ge=reader_locations.ZOOMS[0], le=reader_locations.ZOOMS[1])
    south: float = Field(ge=-90, le=90)
    west: float = Field(ge=-180, le=180)
    north: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=180)


@blueprint.get("")
@operation("card.view")
def index() -> Response:
    """Show the provinces with their readers; with `wilayah`, the regencies of a province or the cards of a regency, district or village."""
    form = Form(request.args)
    wanted = _wanted(form)
    return _cards(form, wanted) if len(wanted.region) > 2 else _counts(form, wanted)


def _counts(form: Form, wanted: PlaceFilter) -> Response:
    ctx = context()
    found = reader_locations.counts(ctx, wanted)
    if request.args.get("unduh"):
        header = [gettext("Region code"), gettext("Region"), gettext("R (read)"), gettext("RW (read and write)"), gettext("Units")]
        rows = [(count.code, count.name, count.r, count.rw, count.total) for count in found]
        return lists.table(request.args["unduh"], "pembaca-per-wilayah", header, rows)
    shown = {"counts": found, "box": reader_locations.around([count.box for count in found]), "total": sum(count.total for count in found)}
    list_views.surround(reader_locations.EXPORT)
    return form.again("reports/map.html", **shown, **_around(wanted))


def _cards(form: Form, wanted: PlaceFilter) -> Response:
    ctx = context()
    box, number = (None, None) if request.args.get("unduh") else reader_locations.extent(ctx, wanted)
    listing = reader_locations.list_readers(ctx, wanted)
    return list_views.answer(
        "reports/map_cards.html", listing, lambda cards: reader_locations.readers(ctx, cards), reader_locations.EXPORT, number=number,
        form=form, box=box, **_around(wanted),
    )  # fmt: skip


def _around(wanted: PlaceFilter) -> dict[str, Any]:
    """Return what both pages need: the regions above, and the choices of the filters."""
    above = [wanted.region[:end] for end in codes.WIDTHS if len(wanted.region) >= end]
    ctx = context()
    names = names_of(ctx.session, above) if above else {}
    return {
        "lag": find_lag(ctx) if is_tallied(ctx) else None,
        "region": wanted.region,
        "chosen": _chosen(wanted),
        "above": [(code, names.get(code, code)) for code in above],
        "functions": functions(),
        "states": [("suspended", str(state("suspended").name)), ("all", gettext("Active and suspended"))],
        "kinds": [(holder.value, kind(holder.value)) for holder in HOLDERS],
    }


_HERE = "-put-a-uid-or-a-region-here-"
"""What stands in an address where a UID or a region is put in. It is longer than what a filter takes from the address."""


@blueprint.get("/titik.json")
@operation("card.view")
def points() -> Response:
    """Return the points of the part that is shown: readers clustered on a grid that fits the zoom (JSON)."""
    form = Form(request.args)
    shown, wanted = form.model(View), _wanted(form)
    found = reader_locations.clusters(context(), wanted, shown.zoom, Box(shown.south, shown.west, shown.north, shown.east))
    return jsonify(_drawn(found, wanted))


def _drawn(found: Iterable[Cluster], wanted: PlaceFilter) -> list[dict[str, object]]:
    """Return clusters with the address of what each leads to: its card, or the list of its region."""
    # Three addresses are built, not one for each of hundreds: no UID or code has a sign that a URL would write otherwise.
    everywhere, somewhere = (url_for("map_pages.index", wilayah=where, **_chosen(wanted)) for where in (None, _HERE))
    card = url_for("card_pages.show", uid=_HERE)
    drawn = []
    for one in found:
        page = card.replace(_HERE, one.uid) if one.uid else somewhere.replace(_HERE, one.region) if one.region else everywhere
        drawn.append(vars(one) | {"box": vars(one.box), "page": page})
    return drawn


def _chosen(wanted: PlaceFilter) -> dict[str, Any]:
    """Return the filters without the region, as they are written in URLs."""
    return {name: value for name, value in asdict(wanted).items() if value and name != "region"}


def _wanted(form: Form) -> PlaceFilter:
    """Return the filter of the form. Raise NotFound for text that is no region code."""
    region, (state_, function, holder) = form.get("wilayah").strip(), (form.get(name)[:20] for name in ("state", "function", "kind"))
    try:
        return PlaceFilter(state_, function, holder, codes.normalise(region) if region else "")
    except Invalid as unreadable:
        raise NotFound() from unreadable
