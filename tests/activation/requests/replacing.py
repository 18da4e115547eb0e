"""Requests that move cards to other machines, as the API takes them."""

from __future__ import annotations

from typing import Any

from tests.support.world import Client, Ready, World, done, letter

HEAD = "magetan.kepala"


def body_of(world: World, *moves: tuple[str, str], reason: str = "terbakar") -> dict[str, Any]:
    rows = [{"sam_uid": uid, "hardware_number": number, "reason": reason} for uid, number in moves]
    return world.letter() | {"kind": "replacement", "replacements": rows}


def drafted(client: Client, body: dict[str, Any]) -> Any:
    return client.send("/activation-requests", body, letter=letter())


def approved(world: World, *moves: tuple[str, str], who: str = HEAD) -> Ready:
    client = world.client(who)
    request = done(drafted(client, body_of(world, *moves)), 201)["id"]
    done(client.post(f"/activation-requests/{request}/submit"))
    world.approve("activation-requests", request, "penyetuju1")
    shown = done(client.post(f"/activation-requests/{request}/tokens"))["tokens"]
    return Ready([uid for uid, _ in moves], {one["sam_uid"]: one["token"] for one in shown}, dict(moves), request)
