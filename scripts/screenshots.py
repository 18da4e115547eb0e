"""Make the pictures of the README and the help again: pages of a fresh installation in Debian's Chromium. Takes no arguments.

The installation is the one that the tests use: SQLite, a SoftHSM token, and the invented people of the demonstration.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
# The installation is the tests', and `tests` is not an installed package.
sys.path.insert(0, str(ROOT))

from hsm.keys import ROOT_PLAN, SIGNING_PLAN  # noqa: E402
from sifilma.demo import facts, sample_files  # noqa: E402
from sifilma.kernel.unit_of_work import assert_no_transaction  # noqa: E402
from tests.support import softhsm  # noqa: E402
from tests.support.browser import DESK, chromium, signed_in  # noqa: E402
from tests.support.databases import FreshSqlite  # noqa: E402
from tests.support.servers import Server, running  # noqa: E402
from tests.support.world import Ready, World, done  # noqa: E402

OUT = ROOT / "docs" / "screenshots"
LARGEST = 120 * 1024  # bytes: pictures are stored in the repository
HEIGHT = 560  # pixels
APPROVER, OFFICE = "penyetuju1", "magetan.kepala"


@contextmanager
def installation() -> Iterator[tuple[World, Server]]:
    """Run a server of a fresh installation during the block."""
    store = softhsm.install()
    try:
        home = Path(tempfile.mkdtemp(prefix="sifilma-"))
        signing, root = store.token("sifilma", SIGNING_PLAN, assert_no_transaction), store.token("sifilma-root", ROOT_PLAN)
        with closing(World(FreshSqlite(home).make(), home / "home", signing, root, datetime.now(UTC))) as world, running(world) as server:
            yield world, server
    finally:
        softhsm.uninstall(store)


def life(world: World) -> tuple[str, Ready]:
    """Make cards in every state and waiting requests. Return the id of the request to approve and the cards ready for activation."""
    world.active(count=3)
    world.active("bangli.kepala", "R", count=2)
    world.personalised(count=2)
    world.requested(OFFICE, world.received(count=2))
    waiting = asked(world)
    world.submitted("bangli.kepala", "R", 2)
    return waiting, world.ready()


def asked(world: World) -> str:
    """Submit a request whose letter states the same as the request, and return its id."""
    letter = facts.PERSONALISATION
    file = sample_files.letter(facts.MAGETAN, letter.number, letter.date, letter.subject, "Mohon personalisasi 5 kartu SAM.")
    stated = {"letter_number": letter.number, "letter_date": letter.date, "subject": letter.subject, "function": "RW", "quantity": 5}
    client = world.client(OFFICE)
    made = done(client.send("/personalisation-requests", stated, letter=file[:2]), 201)
    done(client.post(f"/personalisation-requests/{made['id']}/submit"))
    return str(made["id"])


def home(page: Page, _: str, __: Ready) -> None:
    """Open an approver's home page."""
    page.goto("/")


def approval(page: Page, waiting: str, _: Ready) -> None:
    """Open a request as its approver sees it, beside its letter."""
    page.goto(f"/personalisasi/{waiting}")


def activation(page: Page, _: str, ready: Ready) -> None:
    """Open the activation form with its map."""
    page.goto(f"/aktivasi/kartu?uid={ready.uids[0]}")


def country(page: Page, __: str, ___: Ready) -> None:
    """Open the map of all units, and go away from it until the country is seen."""
    _map(page, "/peta")
    for _ in range(3):
        page.click(".leaflet-control-zoom-out")
        page.wait_for_timeout(400)  # the map glides to its new scale


def regencies(page: Page, _: str, __: Ready) -> None:
    """Open the map of all units, near enough for the names of regencies."""
    _map(page, "/peta")


def village(page: Page, _: str, __: Ready) -> None:
    """Open the map of a regency, near enough for the names of villages."""
    _map(page, "/peta?wilayah=35.20")


def _map(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("canvas[data-drawn]:not([data-drawn=''])", state="attached")
    page.locator(".map").scroll_into_view_if_needed()


PICTURES: tuple[tuple[str, str, Callable[[Page, str, Ready], None]], ...] = (
    ("home", APPROVER, home),
    ("approval", APPROVER, approval),
    ("activation", OFFICE, activation),
    ("map-country", APPROVER, country),
    ("map-regencies", APPROVER, regencies),
    ("map-village", APPROVER, village),
)


def main() -> int:
    """Write every picture. Return 1 if one is larger than LARGEST."""
    OUT.mkdir(parents=True, exist_ok=True)
    large = 0
    with installation() as (world, server), chromium(whole=True) as browser:
        waiting, ready = life(world)
        for name, who, show in PICTURES:
            page = signed_in(browser, server, world, who, DESK)
            page.set_viewport_size({"width": DESK, "height": HEIGHT})
            show(page, waiting, ready)
            page.wait_for_load_state("networkidle")
            path = OUT / f"{name}-id.png"
            shown = page.locator(".map") if name.startswith("map-") else page
            shown.screenshot(path=path, animations="disabled")
            page.close()
            size = path.stat().st_size
            large += size > LARGEST
            print(f"{path.relative_to(ROOT)}: {size / 1024:.0f} KB")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
