"""Whose paper it is: the letterhead of the organisation that issues it, and the place where it signs if nobody says another."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.regions.service import region_name

MINISTRY = "KEMENTERIAN DALAM NEGERI"
SEAT = "Jakarta"
"""Where the directorate signs."""


def letterhead(session: Session, issuer: Organisation) -> dict[str, Any]:
    """Return the large lines of the letterhead (`names`) and the registered `address`, which may be empty.

    The directorate writes below its ministry, an office below its region's government: `PEMERINTAH KABUPATEN MAGETAN`, `DINAS …`.
    """
    name, kind = issuer.name.upper(), OrganisationKind(issuer.kind)
    if kind is OrganisationKind.DIRECTORATE:
        names = [MINISTRY, name]
    else:
        region = _region(session, issuer).upper() if kind.is_office else ""
        names = [f"PEMERINTAH {region}", name.removesuffix(region).strip()] if region else [name]
    return {"names": names, "address": " ".join(issuer.address.split())}


def seat(session: Session, issuer: Organisation) -> str:
    """Return where an organisation signs: its region, or the building that it is known by."""
    if issuer.kind == OrganisationKind.DIRECTORATE:
        return SEAT
    return region_name(session, issuer.region_code) or " ".join(issuer.address.split()) or f"kantor {issuer.name}"


def _region(session: Session, office: Organisation) -> str:
    found = region_name(session, office.region_code)
    is_province = office.kind == OrganisationKind.PROVINCE_OFFICE
    return f"Provinsi {found}" if found and is_province and not found.startswith("Provinsi") else found
