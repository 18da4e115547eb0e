"""Calls every route as one role and reports each answer that contradicts the permission table of docs/domain.md."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from sifilma.kernel.rates import Repetitions
from sifilma.resources import attach, resources
from tests.access.objects import SELECTS, OwnedObject, objects_of
from tests.access.roles import ANYBODY, OPEN, PERSON, ROLES, Visitor
from tests.access.routes import ALSO, LISTS, PARTIES, SEEN_BY, STEMS, Route, absent, routes
from tests.support.permission_table import NEVER, TABLE
from tests.support.world import API

REFUSALS = (401, 403, 404)
ONLY_IDS = (
    "access_review",
    "device_model",
    "job",
    "institution",
    "maker",
    "model_case",
    "reference_change",
    "organisation",
    "buyer",
    "user",
    "invited_head",
    "central_user",
    "consent",
    "orphaned_consent",
    "own_report",
    "user_change",
    "head_succession",
    "lost_factor",
    "message",
    "api_key",
    "card_report",
    "open_question",
    "place_suspension",
    "blank_delivery",
    "unit_correction",
    "unit_key_change",
    "kept_form",
    "own_file",
    "passkey",
    "session",
    "leaf",
    "audit_entry",
)
"""Kinds that only an id identifies: audit entries may show that id to whoever may read the entry."""
NOTHING_OWN = {("manufacturer's key", "/api/v1/units")}
"""Lists that are always empty: a manufacturer owns no unit."""
FILE, SHEET = {"unduh": "csv"}, {"unduh": "xlsx"}
SEARCHES = ({"q": "30154B01"}, {"q": "HW-"}, {"q": "470"})
"""Queries of every list: the list as a file of both kinds, and texts that each card, unit and letter contains."""
MARKED = ("card", "unit", "personalisation_request", "handover", "activation_request")
"""Kinds whose marks are in every row of their lists."""
BEGINNING = 4
"""Characters by which marks are grouped: most begin as a card's UID, a machine's number or a letter's does."""
EACH = 2
"""The number of objects of a relation that are tried, each in a different state."""


class Marks:
    """Texts that are looked for in others, all at once: what begins as one of them and is as long is cut out, and a set is asked for it."""

    def __init__(self, marks: set[str]) -> None:
        self._all, self._known = marks, {(mark[:BEGINNING], len(mark)) for mark in marks}

    def within(self, text: str) -> list[str]:
        """Return the marks that a text contains, sorted."""
        return sorted({mark for known in self._known for mark in _cut(text, *known)} & self._all)


def _cut(text: str, begin: str, size: int) -> Iterator[str]:
    """Yield the parts of a text that begin so and have this size."""
    at = text.find(begin)
    while at >= 0:
        yield text[at : at + size]
        at = text.find(begin, at + 1)


@dataclass
class Walk:
    """The calls of one visitor to every route. `denied` maps the id of a refused request to the action that must be recorded for it.

    `scope_alone`: make only the calls whose answers a select decides, not those that are refused before the first select of an object.
    `short`: leave out what the same code answers elsewhere. Staff reach what their head reaches, with whom two states of each relation are
    tried, and one with them and where the scope alone is looked at. A spreadsheet has the rows of the file, and is looked at for one role.
    The people of the directorate see the lists of all, in which no search is made.
    """

    visitor: Visitor
    denied: dict[str, str] = field(default_factory=dict)
    scope_alone: bool = False
    short: bool = True
    objects: dict[str, list[OwnedObject]] = field(default_factory=dict)

    def faults(self, operation: str = "", below: str = "") -> list[str]:
        """Return every contradiction to the table, of all routes, of the routes of one operation, or of those below a path."""
        of = (route for route in routes(self.visitor.world) if route.rule.rule.startswith(below))
        wanted = (route for route in of if not operation or route.operation == operation)
        return [fault for route in wanted for fault in self._route(route)]

    def pages(self) -> Iterator[tuple[Route, str]]:
        """Yield every page the visitor may open, with its path; pages about objects once for each state the visitor may see."""
        for route in routes(self.visitor.world):
            if route.method != "GET" or route.is_api:
                continue
            if route.operation == OPEN:
                yield from [] if "<" in route.rule.rule else [(route, route.rule.rule)]
            elif self.visitor.role.known and self._granted(route):
                yield from ((route, route.url(item)) for item in self._shown(route))

    def _shown(self, route: Route) -> list[OwnedObject]:
        if not route.about_an_object:
            return [self._any(route)]
        return [item for relation, item in self.picks(str(route.kind), str(route.operation)) if relation == "own"]

    # --- one route ---------------------------------------------------------------------------------------------------

    def _route(self, route: Route) -> Iterator[str]:
        known = (OPEN, ANYBODY, PERSON, *TABLE)
        if route.operation is None:
            yield f"{route}: names no operation"
        elif route.operation not in known:
            yield f"{route}: {route.operation} is not in docs/domain.md's table (tests/support/permission_table.py); add its row"
        elif route.operation == OPEN:
            yield from self._open(route)
        elif not self.visitor.role.known:
            yield from self._expect(route, "nobody", self._call(route, self._any(route)), {401})
        elif not self._granted(route):
            if self.scope_alone:
                return
            yield from self._expect(route, "a forbidden operation", self._call(route, self._any(route)), {403}, "forbidden")
        elif route.about_an_object:
            yield from self._object(route)
        else:
            yield from self._allowed(route, self._any(route), "an allowed operation")

    def _granted(self, route: Route) -> bool:
        if route.operation in (ANYBODY, PERSON):
            return route.operation == ANYBODY or self.visitor.person is not None
        return self.visitor.cell(str(route.operation)) != NEVER

    def _open(self, route: Route) -> Iterator[str]:
        if "<" in route.rule.rule or route.unsafe:
            return
        status = self._call(route, self._any(route)).status_code
        if status in (401, 403):
            yield self._say(route, "a public route", status, {200})

    def _object(self, route: Route) -> Iterator[str]:
        if route.kind is None:
            return  # `missing_recipes` reports it once
        operation = str(route.operation)
        missing = self._call(route, absent(route.kind), **route.body()).status_code
        if missing != 404 and (route.is_api or not route.unsafe or missing < 400):
            yield self._say(route, "nothing", missing, {404})
        tried = False
        for relation, item in self.picks(route.kind, operation):
            if relation == "own":
                yield from self._allowed(route, item, f"an own {item.kind} ({item.state})", again=tried)
                tried = True
            elif relation == "foreign":
                yield from self._out_of_scope(route, f"another's {item.kind} ({item.state})", item, missing)
            else:  # "seen": the visitor may read the object but not perform this operation on it
                answer = self._call(route, item, **route.body())
                yield from self._expect(route, f"a {item.kind} it only sees ({item.state})", answer, {403, 404})

    def picks(self, kind: str, operation: str) -> list[tuple[str, OwnedObject]]:
        """Return (relation, object) pairs: `own` (the operation is allowed), `seen` (only reading is) and `foreign`, one of each state."""
        if kind == "session":
            self.visitor.client("new")
        kept = {self.visitor.world.users.get(role.username or "") for role in ROLES}
        found: dict[tuple[str, bool, str], OwnedObject] = {}
        if kind == "session" or kind not in self.objects:  # no call changes an object; but some end the session
            self.objects[kind] = objects_of(self.visitor.world, kind)
        for item in self.objects[kind]:
            if str(item.key) not in {str(user) for user in kept}:
                mine = self.visitor.organisation in item.owners
                found[self._relation(kind, operation, item), mine, item.state] = item
        chosen: list[tuple[str, OwnedObject]] = []
        role = self.visitor.role
        each = 1 if self.short and (self.scope_alone or not (role.head or role.central)) else EACH
        for relation, mine in (("own", True), ("own", False), ("seen", True), ("seen", False), ("foreign", False)):
            chosen += [(relation, item) for (*of, _), item in found.items() if of == [relation, mine]][:each]
        return chosen

    def _relation(self, kind: str, operation: str, item: OwnedObject) -> str:
        if self.visitor.reaches(operation, item):
            return "own"
        return "seen" if self.visitor.reaches(SEEN_BY[kind], item) else "foreign"

    # --- answers -----------------------------------------------------------------------------------------------------

    def _allowed(self, route: Route, item: OwnedObject, what: str, *, again: bool = False) -> Iterator[str]:
        """Expect that the caller is let in. `again`: the checks that depend on the caller alone were made with another object.

        Where no fresh code is needed, the call is made with a code an hour old: whoever is let in with it is let in with a fresh one.
        """
        old = self.visitor.person is not None and route.operation in TABLE and "!" not in self.visitor.cell(str(route.operation))
        how = "new" if route.unsafe and route.operation == PERSON else "stale" if old else "fresh"
        answer = self._call(route, item, how, **(route.nonsense() if route.unsafe else {}))
        if self._refused(route, answer):
            yield self._say(route, f"{what}, the code an hour old" if old else what, answer.status_code, {200, 422})
        if again or self.scope_alone or self.visitor.person is None or answer.status_code == 401:
            return
        if route.unsafe:
            answer = self._call(route, item, headers={"X-CSRF-Token": None, "Cookie": self.visitor.client().headers["Cookie"]})
            yield from self._expect(route, "a call without the session's X-CSRF-Token", answer, {403}, "csrf")
        if route.operation in TABLE and not old:
            answer = self._call(route, item, "stale", **(route.nonsense() if route.unsafe else {}))
            yield from self._expect(route, f"{what}, the code an hour old", answer, {403}, "step-up-required")

    def _refused(self, route: Route, answer: Any) -> bool:
        """Tell whether the answer refuses a caller who may do this."""
        if answer.status_code in ALSO.get(str(route), set()):
            return False
        party = answer.status_code == 403 and (answer.json or {}).get("type", "").rpartition(":")[2] in PARTIES
        return not party and (answer.status_code in REFUSALS or answer.status_code >= 500)

    def _out_of_scope(self, route: Route, what: str, item: OwnedObject, missing: int) -> Iterator[str]:
        """Expect the answer of an object that does not exist (`missing`)."""
        answer = self._call(route, item, **route.body())
        yield from self._expect(route, what, answer, {missing if missing >= 400 else 404})

    def _expect(self, route: Route, what: str, answer: Any, wanted: set[int], kind: str = "") -> Iterator[str]:
        if answer.status_code not in wanted:
            yield self._say(route, what, answer.status_code, wanted)
        elif kind and not (answer.json or {}).get("type", "").endswith(f":{kind}"):
            yield f"{self.visitor.role.name}: {route}: {what}: {(answer.json or {}).get('type')} instead of {kind}"

    def _say(self, route: Route, what: str, status: int, wanted: set[int]) -> str:
        return f"{self.visitor.role.name}: {route}: {what}: {status} instead of {' or '.join(map(str, sorted(wanted)))}"

    def _any(self, route: Route) -> OwnedObject:
        return absent(route.kind or "")

    def _call(self, route: Route, item: OwnedObject, how: str = "fresh", **more: Any) -> Any:
        """Make one call, and remember the action that must be recorded if it is refused."""
        client, request_id = self.visitor.client(how), f"access-{uuid4().hex}"
        headers = client.headers | {"X-Request-Id": request_id, "Accept": "application/json"} | more.pop("headers", {})
        given = {name: value for name, value in headers.items() if value is not None}
        app = self.visitor.world.app
        attach(app, replace(resources(app), denials=Repetitions()))  # every refusal is the first of its hour: those that repeat are counted
        answer = client.open(route.method, route.url(item), headers=given, **more)
        if self.visitor.role.known and (answer.status_code == 403 or (answer.status_code == 404 and "<" in route.rule.rule)):
            self.denied[request_id] = "access.denied" if answer.status_code == 403 else "access.not_found"
        return answer

    def unrecorded(self) -> list[str]:
        """Return the refusals whose security event is missing, doubled, or beside another event."""
        rows = self.visitor.world.sql("SELECT request_id, action FROM audit_entry WHERE request_id LIKE 'access-%'")
        found: dict[str, list[str]] = {}
        for request_id, action in rows:
            found.setdefault(request_id, []).append(action)
        return [f"{wanted} of {id_}: {found.get(id_)}" for id_, wanted in self.denied.items() if not _recorded(wanted, found.get(id_, []))]

    # --- lists -------------------------------------------------------------------------------------------------------

    def list_faults(self) -> list[str]:
        """Return the lists whose rows are not exactly those the visitor may see, and the pages and files with texts of foreign objects."""
        faults = [fault for path, (kind, operation) in LISTS.items() for fault in self._list(path, kind, operation)]
        foreign, unrecorded = self._foreign_marks(), self._foreign_marks("audit.read")  # audit entries name their objects by id
        for route in routes(self.visitor.world):
            if route.method == "GET" and "<" not in route.rule.rule and route.operation in (*TABLE, ANYBODY, PERSON):
                for query, text in self._texts(route):
                    hidden = unrecorded if str(route.operation).startswith("audit.") else foreign
                    shown = hidden.within(text)
                    faults += [f"{self.visitor.role.name}: {route} {query}: shows {shown[:3]} of others"] if shown else []
                    faults += self._lacking(route, text) if query == FILE else []
        return faults

    def _texts(self, route: Route) -> Iterator[tuple[dict[str, str], str]]:
        """Yield the answer to each query with its text. A page that is no list (it has no file of its rows) is asked once.

        So is every page for staff: they see what their head sees, whose lists are searched and taken as files.
        """
        yield {}, self._text(route, {})
        for query in () if route.is_api else self._queries():
            text = self._text(route, query)
            yield query, text
            if query == FILE and "<!doctype html>" in text[:200].lower():
                return

    def _queries(self) -> tuple[dict[str, str], ...]:
        role = self.visitor.role
        if not role.head and not role.central:
            return ()
        if not self.short:
            return (FILE, SHEET, *SEARCHES)
        return (FILE,) if role.central else (FILE, SHEET, *SEARCHES) if role.name == "regency's head" else (FILE, *SEARCHES)

    def _lacking(self, route: Route, text: str) -> list[str]:
        """Return the visitor's own rows that are missing from the file of a list."""
        kind = STEMS.get(f"{route.rule.rule}/", "")
        if kind not in MARKED or self.visitor.cell(str(route.operation)) == NEVER:
            return []
        own = [item.mark for item in objects_of(self.visitor.world, kind) if self.visitor.reaches(str(route.operation), item)]
        lost = [mark for mark in own if mark not in text]
        return [f"{self.visitor.role.name}: {route} as a file: lacks {lost[:3]}, {len(lost)} of {len(own)}"] if lost else []

    def _list(self, path: str, kind: str, operation: str) -> Iterator[str]:
        if self.visitor.cell(operation) == NEVER:
            return
        wanted = {item.key for item in objects_of(self.visitor.world, kind) if self._in_list(kind, operation, item)}
        shown = set(self._walk_pages(path.removeprefix(API), "uid" if kind == "card" else "id"))
        if shown - wanted:
            yield f"{self.visitor.role.name}: GET {path}: shows {len(shown - wanted)} rows that are not its own, of {len(shown)}"
        if wanted - shown:
            yield f"{self.visitor.role.name}: GET {path}: lacks {len(wanted - shown)} of {len(wanted)}"
        if not wanted and (self.visitor.role.name, path) not in NOTHING_OWN:
            yield f"{self.visitor.role.name}: GET {path}: there is nothing for it to show, so nothing is proven; add to populate()"

    def _in_list(self, kind: str, operation: str, item: OwnedObject) -> bool:
        own_people = kind != "user" or self.visitor.organisation in item.owners  # the API lists one's own organisation's people
        return own_people and self.visitor.reaches(operation, item)

    def _walk_pages(self, path: str, key: str) -> Iterator[str]:
        cursor = None
        while True:
            query = {"limit": 200} | ({"cursor": cursor} if cursor else {})
            page = self.visitor.client().get(path, **query).json
            yield from (item[key] for item in page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    def _foreign_marks(self, reading: str = "") -> Marks:
        """Return the texts of objects that this visitor may not see, neither by their own reading operation nor by `reading`."""
        shown: set[str] = set()
        hidden: set[str] = set()
        for kind in SELECTS:
            for item in objects_of(self.visitor.world, kind) if kind not in ONLY_IDS else []:
                seen = any(self.visitor.reaches(each, item) for each in (SEEN_BY[kind], reading) if each)
                (shown if seen else hidden).update((item.mark, item.part) if seen else (item.mark,))  # a card's page names its unit
        return Marks(hidden - shown)

    def _text(self, route: Route, query: dict[str, str]) -> str:
        client = self.visitor.client()
        answer = client.open("GET", route.rule.rule, headers=client.headers | {"Accept": "text/html"}, query_string=query)
        data: bytes = answer.get_data()
        if data.startswith(b"PK"):  # a spreadsheet
            with zipfile.ZipFile(io.BytesIO(data)) as parts:
                data = b"\n".join(parts.read(name) for name in parts.namelist())
        return data.decode(errors="replace")


def _recorded(wanted: str, found: list[str]) -> bool:
    """Tell whether the action was recorded once, with nothing else but refused one-time codes."""
    return sorted(set(found) - {"session.otp_refused"}) == [wanted] and found.count(wanted) == 1
