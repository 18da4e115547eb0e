"""The locations of readers: counted by region, clustered for the map, and listed. All within the actor's scope of cards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    Subquery,
    bindparam,
    case,
    exists,
    false,
    func,
    literal_column,
    select,
    tuple_,
)

from sifilma.activation.derived.models import LEVELS
from sifilma.activation.derived.queries import E7, is_tallied, level_of
from sifilma.activation.derived.queries import readers as tallied_readers
from sifilma.activation.grid import CELL, FINEST, SOUTH_E7, cell_size
from sifilma.activation.models import Activation, Manifest, ManifestState
from sifilma.cards.models import Card, CardState, Function
from sifilma.cards.queries import cards_query
from sifilma.documents.lists import Export
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation, Scope, reach_of
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements import built_once
from sifilma.regions import codes
from sifilma.regions.service import names_of
from sifilma.reports import card_page
from sifilma.reports.card_page import CardLine
from sifilma.web.pages import moment
from sifilma.web.states import state

APART = 0.7  # in cells: circles nearer than this are merged
ZOOMS = (3, 17)
FEW = 200
"""Readers that are read one by one for a small part of the map. Where more stand, circles are those of the finest grid that is tallied."""
_CELL: list[ColumnElement[int]] = [literal_column(part.replace("l", "activation.l", 1)) for part in CELL]
REGENCY = codes.WIDTHS[1]
STANDING = {"": (CardState.ACTIVE,), "suspended": (CardState.SUSPENDED,), "all": (CardState.ACTIVE, CardState.SUSPENDED)}
EXPORT = Export(
    "pembaca",
    {
        _("UID"): lambda reader: reader.card.of.uid,
        _("State"): lambda reader: str(state(reader.card.of.state).name),
        _("Function"): lambda reader: reader.card.of.function,
        _("Unit"): lambda reader: reader.card.of.unit or "",
        _("Holder"): lambda reader: reader.card.holder,
        _("Place"): lambda reader: reader.place,
        _("Since"): lambda reader: moment(reader.at),
    },
    orders={"uid": (_("UID"), Card.uid)},
    counted=lambda number, words: ngettext("%(count)s unit", "%(count)s units", number, count=words),
    filters={"function": "", "state": "", "kind": ""},
)


@dataclass(frozen=True)
class PlaceFilter:
    """A filter of readers. `state` is a key of STANDING, `kind` a kind of organisation (the holder's), `region` a code of any level."""

    state: str = ""
    function: str = ""
    kind: str = ""
    region: str = ""


@dataclass(frozen=True)
class Box:
    """A part of the map, in degrees (WGS 84)."""

    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True)
class Count:
    """The number of readers in a region by the function of their cards. `box` encloses them."""

    code: str
    name: str
    r: int
    rw: int
    box: Box

    @property
    def total(self) -> int:
        """Return the sum of both."""
        return self.r + self.rw


@dataclass(frozen=True)
class Cluster:
    """Readers that stand close together. `region` is the deepest code they have in common. `uid` is set if it is a single reader."""

    latitude: float
    longitude: float
    count: int
    box: Box
    region: str
    uid: str


@dataclass(frozen=True)
class Reader:
    """An active or suspended card with its location. `place` names village and district."""

    card: CardLine
    place: str
    at: datetime


def readers_query(ctx: Context, wanted: PlaceFilter) -> Select[Card]:
    """Return a query of the cards that match, each joined with its manifest in force and that manifest's activation."""
    standing = (ManifestState.ACTIVE, ManifestState.SUSPENDED)
    # Each join by one equality: of two that mean the same PostgreSQL expects a row where there are thousands.
    seen = _of_activations(ctx) if len(wanted.region) == REGENCY and _is_own(ctx) else cards_query(ctx)
    query = seen.join(Activation, Activation.card_id == Card.id).join(Manifest, Manifest.activation_id == Activation.id)
    query = query.where(Card.state.in_(STANDING.get(wanted.state, ())), Manifest.state.in_(standing))
    if wanted.function:
        query = query.where(Card.function == wanted.function)
    if wanted.kind:
        query = query.where(Card.holder_id.in_(select(Organisation.id).where(Organisation.kind == wanted.kind)))
    if len(wanted.region) == REGENCY:  # an index has a regency's readers in the order of lists
        query = query.where(func.substr(Activation.region_code, 1, REGENCY) == wanted.region)
    elif wanted.region:
        below = Activation.region_code.startswith(f"{wanted.region}.")
        query = query.where(below if codes.level(wanted.region) < codes.VILLAGE else Activation.region_code == wanted.region)
    return query


def _of_activations(ctx: Context) -> Select[Card]:
    """Return a query of the same cards, seen by whose the activations are: an index has those of a regency in the order of the list."""
    seen = scoped(select(Card), ctx.actor, Operation.CARD_VIEW, Activation.organisation_id)
    if reach_of(ctx.actor, Operation.CARD_VIEW) == {Scope.OWN}:
        return seen
    # Most readers of a regency are of the offices of its province. PostgreSQL expects a fiftieth of them, and would read all to sort
    # them: no index answers what stands in COALESCE, so it goes through the regency in the order of the list.
    return select(Card).where(func.coalesce(seen.whereclause, false()))


def _is_own(ctx: Context) -> bool:
    """Return whether the actor sees of the readers in use those of its own activations, or of its offices', and no others.

    A card in use is held by whoever activated it. Hardly any has another buyer, who sees it as well.
    """
    scopes = reach_of(ctx.actor, Operation.CARD_VIEW)
    if ctx.actor.outlets is not None or scopes & {Scope.ALL, Scope.LINKED}:
        return False
    used = select(Card.id).where(Card.holder_id != Card.buyer_id, Card.state.in_(STANDING["all"]))
    return not ctx.session.scalar(select(exists(scoped(used, ctx.actor, Operation.CARD_VIEW, Card.buyer_id))))


def _kind_of(wanted: PlaceFilter) -> PlaceFilter:
    """Return the same filter with as many signs in place of the region, and one sign for all unknown values: few statements are kept."""
    known: dict[str, Collection[str]] = {"state": STANDING, "function": [*Function], "kind": [*OrganisationKind]}
    values = {name: value if not (value := getattr(wanted, name)) or value in these else "-" for name, these in known.items()}
    return PlaceFilter(**values, region="?" * len(wanted.region))


def _values(wanted: PlaceFilter) -> dict[str, Any]:
    """Return the values of `_tallied`."""
    return {"region": wanted.region if len(wanted.region) == REGENCY else f"{wanted.region}.%"} if wanted.region else {}


def _tallied(ctx: Context, wanted: PlaceFilter, level: int) -> tuple[Subquery, list[ColumnElement[bool]]]:
    """Return the tally of a grid, and the conditions of the filter on it: of `_kind_of`. Of the region it knows the regency."""
    found = tallied_readers(ctx, level)
    fits: list[ColumnElement[bool]] = [found.c.state.in_(STANDING.get(wanted.state, ()))]
    for column, value in ((found.c.function, wanted.function), (found.c.kind, wanted.kind)):
        fits += [column == value] if value else []
    if wanted.region:
        region: Any = bindparam("region", type_=String)
        fits.append(found.c.regency == region if len(wanted.region) == REGENCY else found.c.regency.like(region))
    return found, fits


def counts(ctx: Context, wanted: PlaceFilter) -> list[Count]:
    """Return the provinces, or the regencies of the wanted province, with their readers; the most first. Needs two queries."""
    rows: Sequence[Any]
    if is_tallied(ctx):
        rows = built_once.rows(ctx, _counts_query, _kind_of(wanted), _values(wanted))
    else:
        part = func.substr(Activation.region_code, 1, REGENCY if wanted.region else 2)
        by_function = (func.sum(case((Card.function == one, 1), else_=0)) for one in Function)
        query: Any = readers_query(ctx, wanted).with_only_columns(part, *by_function, *_EXTENT).group_by(part)
        rows = ctx.session.execute(query).all()
    names = names_of(ctx.session, [row[0] for row in rows])
    found = [Count(code, names.get(code, code), int(r), int(rw), _box(extent)) for code, r, rw, *extent in rows]
    return sorted(found, key=lambda count: (-count.total, count.name))


def _counts_query(ctx: Context, wanted: PlaceFilter) -> Select[Any]:
    """Return the query of `counts` of whoever has a tally: the code, the readers of each function, the bounds."""
    each, fits = _tallied(ctx, wanted, LEVELS[0])
    part, bounds, number = each.c.regency if wanted.region else func.substr(each.c.regency, 1, 2), _bounds(each), each.c.count
    query: Any = select(part, *(func.sum(case((each.c.function == one, number), else_=0)) for one in Function), *bounds)
    return cast("Select[Any]", query.where(*fits).group_by(part).having(func.sum(number) > 0))


_EXTENT = tuple(bound(column) for bound in (func.min, func.max) for column in (Activation.latitude_e7, Activation.longitude_e7))


def _bounds(found: Subquery) -> list[ColumnElement[int]]:
    """Return the bounds of some rows of the tally. Those of readers that went stay until the worker counts them."""
    return [func.min(found.c.south), func.min(found.c.west), func.max(found.c.north), func.max(found.c.east)]


def _box(extent: Iterable[int]) -> Box:
    return Box(*(degree / E7 for degree in extent))


def around(boxes: list[Box]) -> Box | None:
    """Return the box around all boxes, or None without any."""
    if not boxes:
        return None
    south, west = min(box.south for box in boxes), min(box.west for box in boxes)
    return Box(south, west, max(box.north for box in boxes), max(box.east for box in boxes))


def extent(ctx: Context, wanted: PlaceFilter) -> tuple[Box | None, int | None]:
    """Return the box around the readers that match, or None without any, and their number, or None where they would have to be counted."""
    if is_tallied(ctx) and len(wanted.region) <= REGENCY:
        rows = built_once.rows(ctx, _extent_query, _kind_of(wanted), _values(wanted))
        number, *ends = rows[0] if rows else (0,)
        return (_box(ends) if ends else None), int(number)
    # A district or village has few readers.
    bounds: Sequence[Any] = ctx.session.execute(readers_query(ctx, wanted).with_only_columns(*_EXTENT)).one()
    return (None if bounds[0] is None else _box(bounds)), None


def _extent_query(ctx: Context, wanted: PlaceFilter) -> Select[Any]:
    """Return the query of `extent` of whoever has a tally: no row, or the number of readers and their bounds."""
    found, fits = _tallied(ctx, wanted, LEVELS[0])
    number = func.sum(found.c.count)
    return cast("Select[Any]", select(number, *_bounds(found)).where(*fits).having(number > 0))


def clusters(ctx: Context, wanted: PlaceFilter, zoom: int, shown: Box) -> list[Cluster]:
    """Return the readers in the shown part of the map, clustered on a grid by the database.

    The number of clusters depends on the size of the map on the screen, not on the number of readers.
    """
    level = level_of(zoom)
    if not is_tallied(ctx) or len(wanted.region) > REGENCY:
        rows = _few_cells(ctx, wanted, zoom, shown)
    elif level is None:
        number, cells = _own_cells(ctx, wanted, shown)
        # Those of others stand there, too: only the cells with readers of one's own are read.
        rows = _few_cells(ctx, wanted, zoom, shown, cells) if number <= FEW else _cells(ctx, wanted, FINEST, FINEST, shown)
    else:
        rows = _cells(ctx, wanted, level, zoom, shown)
    return _merged([_cluster(row) for row in rows], cell_size(zoom) / E7 * APART)


_SHOWN = tuple(bindparam(name, type_=Integer) for name in ("south", "north", "west", "east"))


def _ranges(level: int, shown: Box) -> dict[str, Any]:
    """Return the first and the last cell of a grid in the part that is shown: the values of `_inside`."""
    size, sides = cell_size(level), ((shown.south, SOUTH_E7), (shown.north, SOUTH_E7), (shown.west, 0), (shown.east, 0))
    return {bind.key: (int(side * E7) + more) // size for bind, (side, more) in zip(_SHOWN, sides, strict=True)}


def _inside(found: Subquery) -> list[ColumnElement[bool]]:
    """Return the conditions of the cells that are shown."""
    south, north, west, east = _SHOWN
    return [found.c.cell_north.between(south, north), found.c.cell_east.between(west, east)]


def _own_cells(ctx: Context, wanted: PlaceFilter, shown: Box) -> tuple[int, list[tuple[int, int]]]:
    """Return how many readers stand in the cells of the finest grid that are shown, and the cells in which some do."""
    rows = built_once.rows(ctx, _own_cells_query, _kind_of(wanted), _values(wanted) | _ranges(FINEST, shown))
    return sum(int(count) for *_, count in rows), [(north, east) for north, east, _ in rows]


def _own_cells_query(ctx: Context, wanted: PlaceFilter) -> Select[Any]:
    found, fits = _tallied(ctx, wanted, FINEST)
    cell, number = (found.c.cell_north, found.c.cell_east), func.sum(found.c.count)
    return cast("Select[Any]", select(*cell, number).where(*fits, *_inside(found)).group_by(*cell).having(number > 0))


def _cells(ctx: Context, wanted: PlaceFilter, level: int, zoom: int, shown: Box) -> list[Any]:
    """Return the cells of a zoom from the tally of a finer grid, with the UID of whoever is alone in one."""
    rows = built_once.rows(ctx, _cells_query, (_kind_of(wanted), level, zoom), _values(wanted) | _ranges(level, shown))
    alone = _uids(ctx, wanted, [(int(north), int(east)) for north, east, count, *_ in rows if count == 1])
    return [
        (north / count, east / count, int(count), first, last, alone.get((int(north), int(east)), ""), *bounds)
        for north, east, count, first, last, *bounds in rows
    ]


def _cells_query(ctx: Context, grid: tuple[PlaceFilter, int, int]) -> Select[Any]:
    wanted, level, zoom = grid
    found, fits = _tallied(ctx, wanted, level)
    c, number, finer = found.c, func.sum(found.c.count), literal_column(str(2 ** (level - zoom)), Integer)
    sums = (func.sum(c.latitude), func.sum(c.longitude), number, func.min(c.first_code), func.max(c.last_code), *_bounds(found))
    cells = (c.cell_north // finer, c.cell_east // finer)
    return cast("Select[Any]", select(*sums).where(*fits, *_inside(found)).group_by(*cells).having(number > 0))


def _uids(ctx: Context, wanted: PlaceFilter, places: list[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """Return the UIDs of readers by their positions."""
    if not places:
        return {}
    position = (Activation.longitude_e7, Activation.latitude_e7)
    query = readers_query(ctx, wanted).with_only_columns(*position, Card.uid)
    size = cell_size(FINEST)
    cells = sorted({((north + SOUTH_E7) // size, east // size) for north, east in places})  # by whose index they are found
    exactly = tuple_(*position).in_([(east, north) for north, east in places])
    rows = ctx.session.execute(query.where(tuple_(*_CELL).in_(cells), exactly))
    return {(north, east): uid for east, north, uid in rows}


def _few_cells(ctx: Context, wanted: PlaceFilter, zoom: int, shown: Box, near: Sequence[tuple[int, int]] | None = None) -> Sequence[Any]:
    """Return the cells of a zoom from the readers in the part that is shown. `near` are the cells of the finest grid in which they are."""
    if near is not None and not near:
        return []
    size = cell_size(zoom)
    # Cells of the grid are whole-number quotients, so the database can group by them.
    north, east = (Activation.latitude_e7 + SOUTH_E7) // size, Activation.longitude_e7 // size
    inside = [
        Activation.latitude_e7.between(int(shown.south * E7), int(shown.north * E7)),
        Activation.longitude_e7.between(int(shown.west * E7), int(shown.east * E7)),
    ]
    codes_ = (func.min(Activation.region_code), func.max(Activation.region_code))
    middle = (func.avg(Activation.latitude_e7), func.avg(Activation.longitude_e7))
    inside += [] if near is None else [tuple_(*_CELL).in_(near)]  # an index finds each
    query = readers_query(ctx, wanted).where(*inside).with_only_columns(*middle, func.count(), *codes_, func.min(Card.uid), *_EXTENT)
    return ctx.session.execute(query.group_by(north, east)).all()


def _cluster(row: Any) -> Cluster:
    north, east, count, first, last, uid, *extent = row
    return Cluster(float(north) / E7, float(east) / E7, count, _box(extent), in_common(first, last), uid if count == 1 else "")


def in_common(one: str, other: str) -> str:
    """Return the deepest code that is equal to or above both, or an empty text if they have not even the province in common."""
    return next((one[:end] for end in reversed(codes.WIDTHS) if len(one) >= end and one[:end] == other[:end]), "")


def _merged(found: list[Cluster], apart: float) -> list[Cluster]:
    """Merge clusters of neighbouring cells whose circles would overlap. The smaller one is merged into the larger."""
    kept: list[Cluster] = []
    by_square: dict[tuple[int, int], set[int]] = {}  # what is nearer than `apart` is in the same square or in one beside it
    for one in sorted(found, key=lambda cluster: -cluster.count):
        north, east = square = _square(one, apart)
        beside = [by_square.get((north + up, east + right), ()) for up in (-1, 0, 1) for right in (-1, 0, 1)]
        near = min((n for each in beside for n in each if _distance(one, kept[n]) < apart), default=None)
        if near is None:
            near = len(kept)
            kept.append(one)
        else:
            by_square[_square(kept[near], apart)].remove(near)
            kept[near] = _together(kept[near], one)
            square = _square(kept[near], apart)
        by_square.setdefault(square, set()).add(near)
    return kept


def _square(cluster: Cluster, side: float) -> tuple[int, int]:
    return int(cluster.latitude // side), int(cluster.longitude // side)


def _distance(one: Cluster, other: Cluster) -> float:
    return max(abs(one.latitude - other.latitude), abs(one.longitude - other.longitude))


def _together(one: Cluster, other: Cluster) -> Cluster:
    count = one.count + other.count
    box = around([one.box, other.box])
    assert box is not None  # noqa: S101  # of two
    latitude, longitude = (
        (getattr(one, axis) * one.count + getattr(other, axis) * other.count) / count for axis in ("latitude", "longitude")
    )
    return Cluster(latitude, longitude, count, box, in_common(one.region, other.region), "")


def list_readers(ctx: Context, wanted: PlaceFilter) -> Listing[Card]:
    """Return the cards that match, to be listed."""
    return readers_query(ctx, wanted), Card.id


def readers(ctx: Context, cards: list[Card]) -> list[Reader]:
    """Return cards with their places, in a fixed number of queries."""
    standing = Manifest.state.in_((ManifestState.ACTIVE, ManifestState.SUSPENDED))
    query = select(Activation).join(Manifest, Manifest.activation_id == Activation.id)
    made = {at.card_id: at for at in ctx.session.scalars(query.where(standing, Manifest.card_id.in_([card.id for card in cards])))}
    names = names_of(ctx.session, [at.region_code for at in made.values()])
    return [
        Reader(line, ", ".join(names.get(made[line.of.id].region_code[:end], "") for end in (13, 8)), made[line.of.id].at)
        for line in card_page.lines(ctx, cards)
    ]
