"""The steps of an application for a model, sent as browser forms."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

from tests.support.visitor import Visitor, goes_to, one_id
from tests.support.world import World, letter

MAKER = "softorb.kepala"


def model_id(world: World, name: str = "SOFTORB-CRD-1") -> str:
    """Return a model's id as URLs write it."""
    return one_id(world, "SELECT id FROM device_model WHERE name = :name", name=name)


def file() -> Any:
    """Return a PDF as a form sends it."""
    return io.BytesIO(letter()), "surat.pdf"


def application(kind: str = "certification") -> dict[str, Any]:
    """Return the fields of an application."""
    return {"kind": kind, "letter_number": "05/SRT/XI/2026", "letter_date": "2026-11-01", "letter": file()}


def certificate(**more: Any) -> dict[str, Any]:
    """Return the fields of a TKDN certificate."""
    stated = {"number": "1234/SJ-IND/TKDN/2026", "issuer": "P3DN", "issued_on": "2026-11-10", "valid_until": "2029-11-09", "tkdn": "40,25"}
    return stated | {"certificate": file()} | more


def applied(world: World, kind: str = "certification", who: str = MAKER, model: str = "SOFTORB-CRD-1") -> str:
    """Apply for a model; return the path of the application."""
    return goes_to(Visitor(world, who).send(f"/model/{model_id(world, model)}/ajukan", **application(kind)))


def admitted(world: World, kind: str = "certification") -> str:
    """Admit an application; return its path."""
    case = applied(world, kind)
    goes_to(Visitor(world, "operator1").send(f"{case}/izinkan"))
    return case


def recorded(world: World, kind: str = "certification", **more: Any) -> str:
    """Record a certificate, which waits for an approver; return the application's path."""
    case = admitted(world, kind)
    fields = certificate(**more)
    if kind == "testing":
        fields.pop("tkdn")
    goes_to(Visitor(world, "operator1").send(f"{case}/sertifikat", **fields))
    return case


def digest(world: World, case: str) -> str:
    """Return the digest that an approver is shown."""
    identity = case.rsplit("/", 1)[1]
    found = {str(UUID(str(row[0]))): row[1] for row in world.sql("SELECT id, digest FROM model_case")}
    return str(found[identity])


def certified(world: World, kind: str = "certification", **more: Any) -> str:
    """Certify an application; return its path."""
    case = recorded(world, kind, **more)
    goes_to(Visitor(world, "penyetuju1").send(f"{case}/sahkan", digest=digest(world, case)))
    return case
