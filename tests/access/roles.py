"""The roles and what docs/domain.md's permission table lets them do, computed from tests/support/permission_table.py and not from the
application's table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from tests.access.objects import BALI, OwnedObject
from tests.support.permission_table import CENTRAL, NEVER, TABLE
from tests.support.world import Client, World

OPEN, ANYBODY, PERSON = "public", "self", "session.self"


@dataclass(frozen=True)
class Role:
    """One column of the table, or two for an API key: a key may do only what a person of its organisation may do."""

    name: str
    columns: tuple[str, ...] = ()
    username: str | None = None
    key_of: str | None = None
    head: bool = False
    disabled: bool = False

    @property
    def known(self) -> bool:
        """Whether the caller is signed in."""
        return bool(self.columns)

    @property
    def central(self) -> bool:
        """Whether the caller is a person of the directorate."""
        return self.columns[:1] != () and self.columns[0] in CENTRAL


ROLES = (
    Role("anonymous"),
    Role("disabled account", username="magetan.lama", disabled=True),
    Role("approver", ("approver",), "penyetuju1"),
    Role("operator", ("operator",), "operator1"),
    Role("auditor", ("auditor",), "auditor1"),
    Role("user administrator", ("user_admin",), "admin2"),
    Role("custodian", ("custodian",), "kustodian1"),
    Role("manufacturer's head", ("manufacturer",), "softorb.kepala", head=True),
    Role("manufacturer's staff", ("manufacturer",), "softorb.staf"),
    Role("regency's head", ("regency",), "magetan.kepala", head=True),
    Role("regency's staff", ("regency",), "magetan.staf"),
    Role("province's head", ("province",), "jatim.kepala", head=True),
    Role("province's staff", ("province",), "jatim.staf"),
    Role("institution's head", ("institution",), "mandiri.kepala", head=True),
    Role("institution's staff", ("institution",), "mandiri.staf"),
    Role("manufacturer's key", ("key", "manufacturer"), key_of="softorb.kepala"),
    Role("regency's key", ("key", "regency"), key_of="magetan.kepala"),
    Role("province's key", ("key", "province"), key_of="jatim.kepala"),
    Role("institution's key", ("key", "institution"), key_of="mandiri.kepala"),
)


@dataclass
class Visitor:
    """A role in one installation: its clients, its organisation, and the organisations of its jurisdiction."""

    world: World
    role: Role
    organisation: UUID | None = None
    jurisdiction: frozenset[UUID] = frozenset()
    clients: dict[str, Client] = field(default_factory=dict)

    @property
    def person(self) -> UUID | None:
        """The id of the account; None for an API key."""
        return self.world.users.get(self.role.username or "")

    def client(self, how: str = "fresh") -> Client:
        """Return a client: `fresh` or `stale` by the age of its one-time code, or `new` with another session, for calls that may end it."""
        if how not in self.clients or how == "new":
            self.clients[how] = self._client(fresh=how != "stale")
        return self.clients[how]

    def _client(self, *, fresh: bool) -> Client:
        if self.role.key_of:
            known = next(name for name, found in self.world.organisations.items() if found == self.organisation)
            return self.clients.get("fresh") or self.world.machine(known)
        return self.world.client(self.role.username, fresh=fresh) if self.role.username else self.world.anonymous()

    def cell(self, operation: str) -> str:
        """Return the table's cell: `-`, or a letter of scope, with `!` if a fresh code is needed."""
        cells = [TABLE[operation][column] for column in self.role.columns]
        if not cells or NEVER in cells or ("h" in cells[0] and not self.role.head):
            return NEVER
        if any("p" in cell for cell in cells[1:]):  # people only: no key of the organisation
            return NEVER
        return cells[0].replace("h", "").replace("p", "")

    def reaches(self, operation: str, item: OwnedObject) -> bool:
        """Tell whether the table's scope for an operation covers an object."""
        if item.kind in ("organisation", "buyer"):  # everybody who may do this chooses among all of them
            return self.cell(operation) != NEVER
        if item.kind in ("passkey", "session", "consent", "own_report", "kept_form", "notice", "own_file"):
            return self.person in item.owners
        scope = self.cell(operation)[0]
        if scope == "A":
            return True
        if item.kind in ("audit_entry", "leaf") and self.role.central:
            return scope != NEVER and self.person in item.owners
        near = item.owners | (item.linked if scope == "L" else frozenset())
        return scope != NEVER and (self.organisation in near or (scope == "J" and bool(item.owners & self.jurisdiction)))


def visitor(world: World, role: Role) -> Visitor:
    """Make the visitor of a role; a disabled account is disabled after its sessions have begun."""
    name = role.username or role.key_of
    home = world.organisation_of(name) if name else None
    found = Visitor(world, role, home, _jurisdiction(world, role))
    if role.disabled:
        found.client("fresh"), found.client("stale")
        world.change_account(str(name), state="disabled")
    return found


def _jurisdiction(world: World, role: Role) -> frozenset[UUID]:
    """Return the regencies of a province, by name: East Java has Magetan here, Bali another."""
    regencies = {"province": "Magetan"}.get(role.columns[0] if role.columns else "", BALI)
    return frozenset(found for name, found in world.organisations.items() if name.endswith(regencies) and name != BALI)
