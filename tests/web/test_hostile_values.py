"""No date, number or cursor in the address of a page or of a call ends in a fault, whatever is written there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from werkzeug.datastructures import ImmutableMultiDict

from sifilma.web.application import Received
from tests.support.visitor import english
from tests.support.world import API, Client, World, letter

HOSTILE = (
    "0001-01-01", "9999-12-31", "10000-01-01", "2026-02-30", "2026-W01-1", "20261231", "٢٠٢٦-٠١-٠١", "-0001-01-01",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "inf", "-inf", "NaN", "1e400", "-1", "99999999999999999999", "٣", "1_000",
    "0x10", "²", "[]", "%", "'", "\\", "a" * 5000,
)  # fmt: skip
"""The first and last year, days and weeks of no calendar, digits of other scripts, infinities, numbers of no column, signs of SQL."""
ALL = os.environ.get("SIFILMA_TEST_HOSTILE") == "all"
DATES = ("dari", "sampai")
ASKED: set[str] = set()


class Noting(ImmutableMultiDict[str, str]):
    """The parameters of an address; notes by which names they are asked."""

    def get(self, key: str, *more: Any, **named: Any) -> Any:
        ASKED.add(key)
        return super().get(key, *more, **named)

    def getlist(self, key: str, *more: Any, **named: Any) -> Any:
        ASKED.add(key)
        return super().getlist(key, *more, **named)


class NotingRequest(Received):
    """A request whose parameters note what is asked of them."""

    parameter_storage_class = Noting


def pages(world: World) -> list[str]:
    """Return the addresses of all pages and calls that can be had without knowing an object."""
    rules = (rule for rule in world.app.url_map.iter_rules() if "GET" in (rule.methods or ()) and not rule.arguments)
    found = {rule.rule for rule in rules} - {"/metrics", "/readyz"}
    return sorted(path for path in found if ALL or not path.startswith(API))  # tests/api fuzzes the calls in every run


def parameters(world: World, client: Client) -> Iterator[tuple[str, str]]:
    """Yield each page with each name that it reads from its address."""
    world.app.request_class = NotingRequest
    document = client.get("/openapi.json").json["paths"]
    for path in pages(world):
        ASKED.clear()
        client.open("GET", path, headers=client.headers, buffered=True)
        named = document.get(path, {}).get("get", {}).get("parameters", ())
        yield from ((path, name) for name in sorted(ASKED | {one["name"] for one in named if one["in"] == "query"}))


def test_no_value_in_an_address_ends_in_a_fault(postgresql_world: World) -> None:
    world = postgresql_world  # the stricter one about numbers
    faults = {}
    clients = [world.client("auditor1"), world.client("magetan.kepala")]
    for number, (path, name) in enumerate(parameters(world, clients[0])):
        values = HOSTILE if ALL or name in DATES else [HOSTILE[number % len(HOSTILE)]]
        for value in values:
            client = clients[name not in DATES and number % 2]
            answer = client.open("GET", path, headers=client.headers | {"Accept": "*/*"}, query_string={name: value}, buffered=True)
            if answer.status_code >= 500:
                faults[path, name, value] = answer.get_data(as_text=True)[:200]
    assert faults == {}


def test_a_day_out_of_every_calendar_gets_a_word_on_the_page_of_the_record(world: World) -> None:
    visitor = english(world, "auditor1")
    for name, value, word in (
        ("dari", "0001-01-01", "Write a date between 2000-01-01 and 2199-12-31."),
        ("sampai", "9999-12-31", "Write a date between 2000-01-01 and 2199-12-31."),
        ("sampai", "٢٠٢٦-٠١-٠١", "Write the date as 2026-12-31."),
    ):
        visitor.get("/jejak", **{name: value})
        assert word in visitor.seen
        assert visitor.get("/jejak/unduh", **{name: value}).status_code == 422


def test_a_letter_of_a_day_that_has_not_come_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    uids = world.received(function="R")
    client = world.client("magetan.kepala")
    drafts = {
        "/personalisation-requests": {"function": "R", "quantity": 1},
        "/activation-requests": {"kind": "new", "machines": 1, "cards": uids},
    }
    for path, more in drafts.items():
        for day in ("2099-12-31", "9999-12-31", "0026-11-19", "0001-01-01", 20261101, "2026-11-24"):
            field = "letter_date" if day in ("2099-12-31", "2026-11-24") else "request.letter_date"
            refused = client.send(path, world.letter() | more | {"letter_date": day}, letter=letter())
            assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, field), day
        today = "23-11-2026" if "kind" in more else "2026-11-23"
        assert client.send(path, world.letter() | more | {"letter_date": today}, letter=letter()).json["letter_date"] == "2026-11-23"
