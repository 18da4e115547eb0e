"""What the jobs share: an installation, its server, a browser, a folder of files, and what other people do meanwhile."""

from __future__ import annotations

import csv
import io
import os
import secrets
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, Geolocation, Page

from hsm.keys import ROOT_PLAN, SIGNING_PLAN
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.benchmarks.desk_work.counting import Count, Desk
from tests.support import softhsm
from tests.support.browser import DESK, chromium, known, opened
from tests.support.databases import FreshSqlite
from tests.support.servers import ROOT, Server, environment, running
from tests.support.world import World, done, letter, new_uid

OFFICE, BANK, MAKER, APPROVER, OPERATOR = "magetan.kepala", "mandiri.kepala", "softorb.kepala", "penyetuju1", "operator1"
MODEL = "SOFTORB-CRD-1"
HERE: Geolocation = {"latitude": -7.6536, "longitude": 111.3280, "accuracy": 12}
WITNESSES = (
    {"name": "Satria Contoh", "id_kind": "nip", "id_number": "198512122010031013", "office": "Inspektorat", "position": "Auditor"},
    {"name": "Tari Contoh", "id_kind": "nrp", "id_number": "81020304", "office": "Polres Magetan", "position": "Perwira"},
)
OFFICIAL = {"name": "Indah Contoh", "id_kind": "nip", "id_number": "197609092001032009", "position": "Kepala Dinas"}
BATCH = ("hardware_number", "model", "pcid", "sam_uid")


@dataclass
class Work:
    """One job's surroundings; `count` is what its desks count. `width` is that of the window; `look` and `keys` are those of `Desk`."""

    world: World
    server: Server
    browser: Browser
    folder: Path
    count: Count
    width: int = DESK
    look: Callable[[Page], None] | None = None
    keys: bool = False
    brief: bool = False
    """Whether what other journeys do by the pages is done by the API, and everybody sits at one page, one after the other."""
    page: Page | None = None

    def desk(self, who: str, *, fresh: bool = True) -> Desk:
        """Return a desk at the home page of somebody who signed in just now, or else an hour ago; the device knows its place."""
        page = self.page if self.brief and self.page else opened(self.browser, self.server, self.width)
        self.page = page
        page.context.clear_cookies()
        page.context.grant_permissions(["geolocation"])
        page.context.set_geolocation(HERE)
        self.world.clock.set(datetime.now(UTC))
        known(page, self.server, self.world.client(who, fresh=fresh))
        page.goto("/")
        return Desk(page, self.count, self.look, keys=self.keys)

    def paper(self) -> Path:
        """Return a letter as a PDF."""
        return self.stored("surat.pdf", letter())

    def picture(self) -> Path:
        """Return a photo: a PNG of 320 x 240 grey pixels (written by hand, because commit dab99ff has no library for it)."""
        rows = zlib.compress((b"\0" + b"\x80" * 320) * 240)
        parts = ((b"IHDR", struct.pack(">IIBBBBB", 320, 240, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
        chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts]
        return self.stored("foto.png", b"\x89PNG\r\n\x1a\n" + b"".join(chunks))

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
        """Return a table as a CSV file."""
        out = io.StringIO()
        csv.writer(out).writerows([header, *rows])
        return self.stored(name, out.getvalue().encode())

    def stored(self, name: str, data: bytes) -> Path:
        """Return a file with these bytes."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def personalised(self, request: str, quantity: int) -> list[str]:
        """Let the operator record as many cards; return their UIDs."""
        uids = [new_uid() for _ in range(quantity)]
        results = {"results": [{"sam_uid": uid, "outcome": "personalised"} for uid in uids]}
        done(self.world.client(OPERATOR).post(f"/personalisation-requests/{request}/results", results))
        return uids

    def bank_receives(self, count: int) -> list[str]:
        """Let a bank receive cards, each in its machine, from their manufacturer; return their UIDs."""
        numbers = self.world.units(BANK, count, MODEL, "R", pcid=False)
        uids = [new_uid() for _ in numbers]
        batch = self.world.batch([(number, MODEL, secrets.token_hex(16), uid) for number, uid in zip(numbers, uids, strict=True)])
        self.world.approve("personalisation-requests", batch, APPROVER)
        results = {"results": [{"sam_uid": uid, "outcome": "personalised"} for uid in uids]}
        done(self.world.client(OPERATOR).post(f"/personalisation-requests/{batch}/results", results))
        for giver, receiver in ((OPERATOR, MAKER), (MAKER, BANK)):
            bast = done(self.world.client(giver).post("/handovers", {"to": str(self.world.organisation_of(receiver)), "cards": uids}), 201)
            done(self.world.client(receiver).post(f"/handovers/{bast['id']}/receive"))
        return uids

    def batch_rows(self, count: int) -> list[list[str]]:
        """Return rows of a batch: machines that the bank has registered, and new cards."""
        numbers = [one for _ in range(count // 50) for one in self.world.units(BANK, 50, MODEL, "R", pcid=False)]
        return [[number, MODEL, secrets.token_hex(16), new_uid()] for number in numbers]

    def states_of_requests(self) -> dict[str, int]:
        """Return how many personalisation requests are in each state, as the approver reads them."""
        found = self.world.client(APPROVER).get("/personalisation-requests").json["items"]
        return dict(Counter(str(one["state"]) for one in found))

    def destroyed_before(self) -> None:
        """Let the office destroy a card before the official and the witnesses."""
        uid, office = self.world.active()[0].uids[0], self.world.client(OFFICE)
        done(office.post(f"/cards/{uid}/reports", {"condition": "locked", "note": "PIN salah berulang kali"}))
        made = done(office.post("/destructions", {"cards": [uid], "cause": "locked"}), 201)["id"]
        self.world.approve("destructions", made, APPROVER)
        record = {"place": "Kantor Dinas", "method": "cip dipotong menjadi dua", "official": OFFICIAL, "witnesses": list(WITNESSES)}
        record["executed_at"] = self.world.clock.now().isoformat()
        done(
            self.world.client(OFFICE).send(
                f"/destructions/{made}/record", record, "record", photos=[("foto.png", self.picture().read_bytes())]
            )
        )

    def states(self, who: str, uids: Sequence[str]) -> set[str]:
        """Return the states of cards as their holder reads them."""
        client = self.world.client(who)
        return {str(client.get(f"/cards/{uid}").json["state"]) for uid in uids}


def letter_fields() -> Mapping[str, str]:
    """Return the fields of a letter that nobody has sent yet."""
    return {"letter_number": f"470/{secrets.randbelow(10**9)}", "letter_date": "2026-11-02", "subject": "Permohonan kartu SAM"}


def key_of(desk: Desk) -> str:
    """Return the id in the address of the desk's page."""
    return desk.page.url.split("?")[0].rsplit("/", 1)[1]


@contextmanager
def worker(world: World) -> Iterator[None]:
    """Run a real worker beside the server."""
    process = subprocess.Popen([sys.executable, "-m", "sifilma", "worker"], env=os.environ | environment(world), cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def surroundings() -> Iterator[tuple[World, Server, Browser]]:
    """Yield a fresh installation, its server and a browser."""
    store = softhsm.install()
    try:
        with tempfile.TemporaryDirectory(prefix="sifilma-") as folder:
            home = Path(folder)
            signing, root = store.token("sifilma", SIGNING_PLAN, assert_no_transaction), store.token("sifilma-root", ROOT_PLAN)
            made = World(FreshSqlite(home).make(), home / "home", signing, root, datetime.now(UTC))
            with closing(made) as world, running(world) as server, chromium() as browser:
                yield world, server, browser
    finally:
        softhsm.uninstall(store)
