"""The acts of a card's life whose steps are made to fail: each makes what it needs, and gives the request that is sent."""

from __future__ import annotations

import io
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sifilma.demo import sample_files
from tests.activation.bulk.sheets import rows_of, sheet, worked
from tests.destruction.test_service import record
from tests.support.visitor import Visitor
from tests.support.world import Client, World, done

OFFICE, MAKER, BUYER = "magetan.kepala", "softorb.kepala", "mandiri.kepala"
MAGETAN = "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan"
Send = Callable[[str], Any]
"""Sends the request of one act with this idempotency key, and returns the answer (werkzeug's TestResponse)."""
_pictures = itertools.count()


@dataclass(frozen=True)
class Act:
    """One kind of act. `prepare` makes so many objects of which only this act is missing, and returns the request of each.

    `is_keyed`: the route takes an idempotency key. `is_page`: a page answers it.
    """

    name: str
    prepare: Callable[[World, int], list[Send]]
    is_keyed: bool = True
    is_page: bool = False


def keyed(client: Client, key: str) -> Client:
    """Return the same client with an idempotency key in every call."""
    return Client(client.world, client.headers | {"Idempotency-Key": key})


def posts(client: Client, path: str, body: Any = None) -> Send:
    """Return a request with JSON."""
    return lambda key: keyed(client, key).post(path, body)


def sends(client: Client, path: str, stated: dict[str, Any], part: str = "request", **files: Any) -> Send:
    """Return a request with a multipart form."""
    return lambda key: keyed(client, key).send(path, stated, part=part, **files)


def paper() -> tuple[str, bytes]:
    """Return a PDF that no other call returns: the file store writes it, and does not find it."""
    name, data, _ = sample_files.letter("Pengirim", f"470/{secrets.token_hex(4)}", "2026-11-01", "Permohonan", secrets.token_hex(8))
    return name, data


def picture() -> tuple[str, bytes]:
    """Return a picture that no other call of this process returns: one of 4,000 sizes. The same one would be stored once."""
    height, width = divmod(next(_pictures) % 4_000, 80)
    name, data, _ = sample_files.photo(8 + width, 8 + height)
    return name, data


def activations(world: World, count: int) -> list[Send]:
    ready, machine = world.ready(OFFICE, "R", count + 1), world.machine(MAGETAN)  # the last one would complete their request as well
    return [posts(machine, "/activations", world.activation(ready, uid)) for uid in ready.uids[:count]]


def personalisation_approvals(world: World, count: int) -> list[Send]:
    asked, approver = [world.submitted(OFFICE, "R", 2) for _ in range(count)], world.client("penyetuju1")
    return [posts(approver, f"/personalisation-requests/{one['id']}/approve", {"digest": one["digest"]}) for one in asked]


def activation_approvals(world: World, count: int) -> list[Send]:
    uids, approver = world.received(OFFICE, "R", 2 * count), world.client("penyetuju1")
    asked = [world.requested(OFFICE, uids[2 * n : 2 * n + 2]) for n in range(count)]
    return [posts(approver, f"/activation-requests/{one['id']}/approve", {"digest": one["digest"]}) for one in asked]


def receipts(world: World, count: int) -> list[Send]:
    office = world.client(OFFICE)
    return [posts(office, f"/handovers/{bast}/receive") for bast in _issued(world, count)]


def receipts_by_page(world: World, count: int) -> list[Send]:
    office = Visitor(world, OFFICE)

    def send(_key: str, bast: str) -> Any:
        return office.send(f"/bast/{bast}/terima")

    return [partial(send, bast=bast) for bast in _issued(world, count)]


def _issued(world: World, count: int) -> list[str]:
    uids, operator, to = world.personalised(OFFICE, "R", 2 * count), world.client("operator1"), str(world.organisation_of(OFFICE))
    bodies = [{"to": to, "cards": uids[2 * n : 2 * n + 2]} for n in range(count)]
    return [str(done(operator.post("/handovers", body), 201)["id"]) for body in bodies]


def destructions(world: World, count: int) -> list[Send]:
    office, approver, proposed = world.client(OFFICE), world.client("penyetuju1"), _proposed(world, count)
    for one in proposed:
        done(approver.post(f"/destructions/{one['id']}/approve", {"digest": one["digest"]}))
    return [sends(office, f"/destructions/{one['id']}/record", record(world), "record", photos=[picture()]) for one in proposed]


def destruction_approvals(world: World, count: int) -> list[Send]:
    approver = world.client("penyetuju1")
    return [posts(approver, f"/destructions/{one['id']}/approve", {"digest": one["digest"]}) for one in _proposed(world, count)]


def _proposed(world: World, count: int) -> list[Any]:
    office, uids = world.client(OFFICE), world.received(OFFICE, "R", count)
    for uid in uids:
        done(office.post(f"/cards/{uid}/reports", {"condition": "locked", "note": "terkunci"}))
    return [done(office.post("/destructions", {"cards": [uid], "cause": "locked", "note": "rusak"}), 201) for uid in uids]


def batches(world: World, count: int) -> list[Send]:
    numbers, maker = world.units(BUYER, 2 * count, "SOFTORB-CRD-1", "R", pcid=False), world.client(MAKER)
    buyer = str(world.organisation_of(BUYER))
    made = []
    for n in range(count):
        rows = [f"{number},SOFTORB-CRD-1,{secrets.token_hex(16)}" for number in numbers[2 * n : 2 * n + 2]]
        table = ("batch.csv", "\n".join(["hardware_number,model,pcid", *rows]).encode())
        stated = world.letter() | {"function": "R", "on_behalf_of": buyer, "purchase_order_number": "PO-1"}
        made.append(sends(maker, "/personalisation-requests", stated, letter=paper(), purchase_order=paper(), batch=table))
    return made


def files_of_activations(world: World, count: int) -> list[Send]:
    worked(world)  # an organisation may have ten files that wait
    rows, office = rows_of(world.ready(OFFICE, "R", 2 * count)), world.client(OFFICE)

    def send(key: str, data: bytes) -> Any:
        form = {"file": (io.BytesIO(data), "aktivasi.csv")}
        return keyed(office, key).call("POST", "/activations/bulk", data=form, content_type="multipart/form-data")

    return [partial(send, data=sheet(rows[2 * n : 2 * n + 2])) for n in range(count)]


def downloads(world: World, count: int) -> list[Send]:
    office = world.client(OFFICE)
    return [posts(office, f"/manifests/{manifest}/download") for manifest in _manifests(world, count)]


def revocations(world: World, count: int) -> list[Send]:
    operator, approver, paths = world.client("operator1"), world.client("penyetuju1"), []
    for manifest in _manifests(world, count):
        paths.append(f"/manifests/{manifest}/revoke")
        done(operator.post(paths[-1], {"reason": "mesin dicuri"}), 202)
    return [posts(approver, path, {"reason": "benar"}) for path in paths]


def _manifests(world: World, count: int) -> list[str]:
    return [str(answer["manifest"]["id"]) for answer in world.active(OFFICE, "R", count)[1]]


def damages(world: World, count: int) -> list[Send]:
    office, (ready, _) = world.client(OFFICE), world.active(OFFICE, "R", count)
    stated = {"condition": "damaged", "note": "retak"}
    return [sends(office, f"/cards/{uid}/reports", stated, "report", photos=[picture()]) for uid in ready.uids]


MAIN = (
    Act("activation", activations),
    Act("approval of a personalisation", personalisation_approvals),
    Act("approval of an activation", activation_approvals),
    Act("receipt of a BAST", receipts),
    Act("destruction", destructions),
)
"""The acts of which the short form tries some steps."""
ALL = (
    *MAIN,
    Act("receipt of a BAST by page", receipts_by_page, is_keyed=False, is_page=True),
    Act("approval of a destruction", destruction_approvals),
    Act("batch", batches),
    Act("file of activations", files_of_activations),
    Act("download of a manifest", downloads, is_keyed=False),
    Act("revocation", revocations),
    Act("report of damage", damages),
)
