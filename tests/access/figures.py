"""Every number on the home page, on an organisation's page and among the statistics, against a plain recount of the rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from uuid import UUID

from tests.access.objects import objects_of
from tests.access.roles import Visitor
from tests.support.permission_table import NEVER
from tests.support.visitor import Visitor as Reader
from tests.support.visitor import english, words

TILE = re.compile(r'<a class="figure-card[^"]*" href="([^"]+)"><span>([^<]+)</span><strong>([\d,]+)</strong>')
TOTAL = re.compile(r'<p class="listed"><strong>([\d,]+) ')
ROW = re.compile(r"<tr><td>([^<]+)</td><td class=\"number\">([\d,]+)</td></tr>")
BROKEN = ("damaged", "locked", "revoked")


def figure_faults(visitor: Visitor) -> Iterator[str]:
    """Yield each number that is not what it counts: tiles and the lists they lead to, states, organisation, statistics."""
    reader = english(visitor.world, str(visitor.role.username))
    home = reader.get("/").get_data(as_text=True)
    tiles = {name: (unescape(address), _number(count)) for address, name, count in TILE.findall(home)}
    for name, (address, count) in tiles.items():
        page = reader.get(address).get_data(as_text=True)
        if (total := _number(TOTAL.findall(page)[0])) != count:
            yield f"{name}: {count}, its list has {total}"
        if address.startswith("/tugas") and page.count('<span class="dot">') != count:
            yield f"{name}: {count}, but other lines"
    yield from _cards(visitor, {name: count for name, (_, count) in tiles.items()}, home, reader)


def _cards(visitor: Visitor, tiles: dict[str, int], home: str, reader: Reader) -> Iterator[str]:
    seen = {item.key: item.state for item in objects_of(visitor.world, "card") if visitor.reaches("card.view", item)}
    if visitor.cell("card.view") == NEVER:
        if set(tiles) != {"Waiting for you", "Late with you"} or reader.get("/statistik").status_code != 403:
            yield f"tiles without cards: {tiles}"
        return
    holders = {uid: UUID(str(holder)) for uid, holder in visitor.world.sql("SELECT uid, holder_id FROM card")}
    today = "SELECT c.uid FROM activation a JOIN card c ON c.id = a.card_id"  # all are of the day of the world's clock
    activated = {uid for (uid,) in visitor.world.sql(today)}
    destroys = visitor.cell("destruction.record") != NEVER
    right = {
        "Active cards": sum(state == "active" for state in seen.values()),
        "Activated today": len(activated & set(seen)),
        "Cards to be destroyed": sum(
            state in BROKEN and (not destroys or holders[uid] == visitor.organisation) for uid, state in seen.items()
        ),
    }
    if {name: tiles.get(name) for name in right} != right:
        yield f"tiles {tiles}, recounted {right}"
    table = home.partition('id="cards"')[2].partition("</table>")[0]
    states = Counter(seen.values())
    if sorted(_number(count) for _, count in ROW.findall(table)) != sorted(states.values()):
        yield f"states {ROW.findall(table)}, recounted {states}"
    own = words(reader.get(f"/organisasi/{visitor.organisation}"))
    units = sum(UUID(str(owner)) == visitor.organisation for (owner,) in visitor.world.sql("SELECT organisation_id FROM unit"))
    held = sum(holders[uid] == visitor.organisation for uid in seen)
    if f"Units {units} Cards held {held} " not in own:
        yield f"organisation: {units} units and {held} cards, its page: {own[own.find('About it') :][:200]}"
    parts = reader.get("/statistik").get_data(as_text=True)
    for part in ("provinces", "models"):
        found = sum(_number(count) for _, count in ROW.findall(parts.partition(f'id="{part}"')[2].partition("</table>")[0]))
        if found != right["Active cards"]:
            yield f"{part}: {found} active cards, not {right['Active cards']}"


def _number(text: str) -> int:
    return int(text.replace(",", ""))
