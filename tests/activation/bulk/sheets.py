"""Makes files of activations and runs a worker in this process."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from typing import Any

from sifilma.documents.tables.writing import write_csv
from sifilma.jobs import worker
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.command import command_context
from tests.support.visitor import Visitor
from tests.support.world import MAGETAN_PLACE, Client, Ready, World, done, letter

HEADER = ("sam_uid", "token", "hardware_number", "latitude", "longitude", "accuracy_m", "source", "address", "region_code", "reason")


def rows_of(ready: Ready, **changes: Any) -> list[list[Any]]:
    """Return a row for each card that is ready."""
    base = {"latitude": -7.6536, "longitude": 111.328, "accuracy_m": 10, "source": "device", "address": "Kantor", "reason": ""} | {
        "region_code": MAGETAN_PLACE["region_code"]
    }
    rows = [base | {"sam_uid": u, "token": ready.tokens[u], "hardware_number": ready.hardware[u]} | changes for u in ready.uids]
    return [[row[name] for name in HEADER] for row in rows]


def sheet(rows: Sequence[Sequence[Any]], header: Sequence[str] = HEADER) -> bytes:
    """Return the rows as a file with this header."""
    return write_csv(header, rows)


def sent(client: Client, data: bytes, name: str = "aktivasi.csv") -> Any:
    """Upload a file that must be accepted; return the job."""
    return done(send(client, data, name), 202)


def send(client: Client, data: bytes, name: str = "aktivasi.csv") -> Any:
    """Upload a file; return the answer."""
    return client.call("POST", "/activations/bulk", data={"file": (io.BytesIO(data), name)}, content_type="multipart/form-data")


def tools(world: World, name: str = "worker") -> worker.Tools:
    """Return what a worker of this installation needs."""
    return worker.Tools(command_context, world.settings, world.hsm, resources().files, partial(place_check, world.settings.home), name)


def worked(world: World, seconds: float = 5, name: str = "worker") -> int:
    """Let a worker work for at most `seconds`; return the number of rows it has done."""
    with world.app.app_context():
        return worker.work(tools(world, name), seconds)


def refused_batch(world: World, maker: str, buyer: str) -> None:
    """Submit a manufacturer's batch that is refused and kept with its errors."""
    batch = write_csv(("hardware_number", "model", "pcid"), [("HW-TIADA", "TIADA", "XYZ")])
    stated = world.letter() | {"function": "R", "on_behalf_of": str(world.organisation_of(buyer)), "purchase_order_number": "PO-1"}
    papers: dict[str, Any] = {name: (io.BytesIO(letter()), f"{name}.pdf") for name in ("letter", "purchase_order")}
    answer = Visitor(world, maker).send("/personalisasi/baru", **stated, **papers, batch=(io.BytesIO(batch), f"batch {maker}.csv"))
    assert answer.status_code == 422
