"""What the page of the search shows: everything found with its page, and the list of each kind with the same filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask_babel import LazyString, format_decimal, gettext
from flask_babel import lazy_gettext as _

from sifilma.documents.indonesian import uid_pairs
from sifilma.documents.list_views import at_most
from sifilma.kernel.context import Context
from sifilma.search import queries
from sifilma.search.queries import MOST_COUNTED, Found, Hit, Kind
from sifilma.web.states import kind as kind_name
from sifilma.web.states import state


@dataclass(frozen=True)
class Place:
    """A kind on the web: its name, its icon, its list with the field that filters it, and the page of one with its parameter.

    `words` says of a hit what stands below its title.
    """

    name: LazyString
    icon: str
    index: str
    field: str
    page: str
    key: str
    words: Callable[[Hit], Sequence[str]]


def _who(hit: Hit) -> Sequence[str]:
    return (hit.whose, hit.more)


PLACES: dict[Kind, Place] = {
    Kind.CARD: Place(_("SAM cards"), "sd-card", "card_pages.index", "text", "card_pages.show", "uid", _who),
    Kind.UNIT: Place(_("Units"), "pc-display", "unit_pages.index", "q", "unit_pages.show", "unit_id", _who),
    Kind.OUTLET: Place(_("Outlets"), "shop", "outlet_pages.index", "q", "outlet_pages.show", "outlet_id", _who),
    Kind.PERSONALISATION: Place(
        _("Personalisation requests"), "cpu", "personalisation_pages.index", "q", "personalisation_pages.show", "request_id", _who
    ),
    Kind.ACTIVATION: Place(
        _("Activation requests"), "broadcast", "activation_pages.index", "q", "activation_pages.show", "request_id", _who
    ),
    Kind.HANDOVER: Place(
        _("Handovers (BAST)"), "truck", "handover_pages.index", "number", "handover_pages.show", "handover_id", lambda hit: (hit.whose,)
    ),
    Kind.DESTRUCTION: Place(
        _("Destructions"), "trash", "destruction_pages.index", "text", "destruction_pages.show", "destruction_id",
        lambda hit: (hit.whose, str(state(hit.more).name)),
    ),
    Kind.ORGANISATION: Place(
        _("Organisations"), "building", "organisation_pages.index", "nama", "organisation_pages.show", "organisation_id",
        lambda hit: (kind_name(hit.whose), hit.more),
    ),
    Kind.USER: Place(_("People"), "people", "user_pages.index", "nama", "user_pages.show", "user_id", _who),
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """Something found: its title and the words below it, its state (empty if it has none), and its page with the page's parameter."""

    kind: Kind
    title: str
    words: str
    state: str
    page: str
    key: dict[str, str]


@dataclass(frozen=True)
class Group:
    """What was found of one kind: its name, how many there are in words, the first of them, and its list with the filter."""

    kind: Kind
    name: str
    icon: str
    total: str
    lines: Sequence[Line]
    index: str
    filter: dict[str, str]


@dataclass(frozen=True)
class Result:
    """The page. `whole` is what the text identifies; only if that is nothing, or if it was asked for, `groups` are the parts.

    `too_short`: the text is too short for parts. `left_out`: parts were not looked for, but may be.
    """

    text: str
    whole: Sequence[Line] = ()
    groups: Sequence[Group] = ()
    too_short: bool = False
    left_out: bool = False


def look_up(ctx: Context, typed: str, *, parts: bool) -> Result:
    """Return what is found for what was typed. `parts` asks for parts also where something has exactly this identifier."""
    text = queries.spelled(typed)
    if not text:
        return Result("")
    whole = [_line(hit) for found in queries.identified(ctx, text) for hit in found.hits]
    if not queries.is_long_enough(text):
        return Result(text, whole, too_short=True)
    if whole and not parts:
        return Result(text, whole, left_out=True)
    return Result(text, whole, [_group(found, text) for found in queries.containing(ctx, text)])


def _group(found: Found, text: str) -> Group:
    place, total = PLACES[found.kind], at_most(found.count, MOST_COUNTED)
    if found.among:
        total = gettext("%(number)s among the newest %(looked)s", number=total, looked=format_decimal(found.among))
    return Group(found.kind, str(place.name), place.icon, total, [_line(hit) for hit in found.hits], place.index, {place.field: text})


def _line(hit: Hit) -> Line:
    place, key = PLACES[hit.kind], hit.title if hit.kind is Kind.CARD else hit.id
    title = uid_pairs(hit.title) if hit.kind is Kind.CARD else hit.title or gettext("Not written yet")
    words = " · ".join(word for word in place.words(hit) if word)
    return Line(hit.kind, title, words, hit.state, place.page, {place.key: str(key)})
