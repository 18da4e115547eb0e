"""One head follows another: proposed over the API, and decided."""

from __future__ import annotations

from typing import Any

from tests.support.world import World, done, letter

NEW_HEAD = {"username": "magetan.kepala2", "name": "Wulan Contoh", "id_kind": "nip", "id_number": "197505052000032015"}


def proposed(
    world: World, who: str = "admin1", outgoing: str | None = "magetan.kepala", successor: str = "magetan.staf", **more: Any
) -> Any:
    """Propose that an account follows as head of its organisation; `more` overrides fields. Return the answer."""
    body: dict[str, Any] = {"decree_number": "821.2/417/2026", "decree_date": "2026-11-20"}
    if "invited" not in more:
        body["successor"] = str(world.users.get(successor, successor))
    if outgoing is not None:
        body["outgoing"] = str(world.users.get(outgoing, outgoing))
    if who.startswith("admin") and "organisation" not in more:
        body["organisation"] = str(world.organisation_of(successor))
    given = {name: value for name, value in (body | more).items() if value is not None}
    return world.client(who).send("/head-successions", given, decree=letter())


def decided(world: World, succession: str, who: str = "admin2", decision: str = "execute") -> Any:
    """Decide on a succession. Return the answer."""
    return world.client(who).post(f"/user-changes/{succession}/decision", {"decision": decision})


def succeeded(world: World, **more: Any) -> Any:
    """Let two user administrators have the staff of Magetan follow its head. Return the succession as it is then."""
    made = done(proposed(world, **more), 202)
    done(decided(world, made["id"]))
    return done(world.client("admin1").get(f"/head-successions/{made['id']}"))
