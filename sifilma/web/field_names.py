"""What the fields of forms are called in sentences, on every page; examples for numbers, and the words for lists that are empty."""

from __future__ import annotations

import re

from flask_babel import gettext
from flask_babel import lazy_gettext as _

NAMES = {
    "accuracy_m": _("Accuracy"),
    "address": _("Address"),
    "addresses": _("Allowed addresses"),
    "attachments": _("Attachments"),
    "basis": _("Basis"),
    "batch": _("Batch"),
    "body": _("Message"),
    "cards": _("Cards"),
    "cause": _("Cause"),
    "certificate": _("The paper (PDF)"),
    "code": _("Code"),
    "condition": _("What happened"),
    "current": _("Present password"),
    "damaged": _("Damaged cards"),
    "days": _("Period in days"),
    "decision": _("Decision"),
    "document": _("The agreement as a PDF"),
    "email": _("E-mail address"),
    "executed_at": _("Date and time"),
    "file": _("File"),
    "function": _("Function"),
    "hardware_number": _("Hardware number"),
    "id_kind": _("Kind of id number"),
    "id_number": _("Id number"),
    "institution": _("Institution"),
    "issued_on": _("Issued on"),
    "issuer": _("Issued by"),
    "issuer_signatory": _("Signs for the issuer (PIHAK PERTAMA)"),
    "kcv": _("Key check value (KCV)"),
    "keys": _("File of public keys"),
    "kind": _("Kind"),
    "latitude": _("Latitude"),
    "letter": _("Letter (PDF)"),
    "letter_date": _("Letter date"),
    "letter_number": _("Letter number"),
    "longitude": _("Longitude"),
    "machines": _("Machines"),
    "manufacturer": _("Manufacturer"),
    "method": _("Manner of destruction"),
    "missing": _("Missing cards"),
    "model": _("Model"),
    "more": _("Further UIDs"),
    "name": _("Name"),
    "note": _("Note"),
    "notes": _("Notes"),
    "number": _("Number"),
    "office": _("Office"),
    "official": _("Responsible official"),
    "on_behalf_of": _("Buyer"),
    "organisation": _("Organisation"),
    "otp_code": _("One-time code"),
    "outcome": _("Outcome"),
    "password": _("Password"),
    "pasted": _("Link of a map, or coordinates"),
    "pcid": _("PCID"),
    "personalisation_request": _("Personalisation request"),
    "phone": _("Mobile phone"),
    "photos": _("Photos"),
    "place": _("Place"),
    "police_report": _("Number of the report to the police"),
    "position": _("Official position"),
    "public_jwk": _("Public key of the unit (JWK)"),
    "purchase_order": _("Purchase order (PDF)"),
    "purchase_order_number": _("Purchase order number"),
    "quantity": _("Number of cards"),
    "reason": _("Reason"),
    "received": _("Cards that came"),
    "receiver_signatory": _("Signs for the receiver (PIHAK KEDUA)"),
    "region_code": _("Region code"),
    "replaces": _("Cards that are replaced"),
    "repeat": _("The password again"),
    "results": _("File of results"),
    "role": _("Role"),
    "roles": _("Roles"),
    "sam_perso": _("SAM Perso"),
    "sam_uid": _("UID of the card"),
    "scopes": _("What the program may do"),
    "source": _("Source of the position"),
    "subject": _("Subject"),
    "tkdn": _("TKDN in percent"),
    "to": _("Receiver"),
    "token": _("Token"),
    "units": _("File of units"),
    "until": _("Last day"),
    "username": _("User name"),
    "valid_from": _("Valid from"),
    "valid_until": _("Valid until"),
    "witnesses": _("Witnesses"),
}
EXAMPLES = {"latitude": "−6,2247", "longitude": "106,8077", "tkdn": "35,5", "accuracy_m": "12,5"}
"""How a number of a field is written, as people here write it."""
CHOOSE = {
    "cards": _("Choose at least one SAM card."),
    "roles": _("Choose at least one role."),
    "scopes": _("Choose at least one thing that the program may do."),
    "decisions": _("Decide on at least one account."),
}
"""The words for a list of which nothing is chosen."""
_ITEM = re.compile(r"(.+)\.(\d+)")


def name_of(field: str) -> str:
    """Return what a field is called: `letter_date`, or `witnesses.0.name` (the name of the first witness). Empty for an unknown one."""
    group, _dot, last = field.rpartition(".")
    called = str(NAMES[last]) if last in NAMES else ""
    if not group or group in ("fields", "request", "record"):
        return called
    if numbered := _ITEM.fullmatch(group):
        whose = gettext("Witness %(number)s", number=int(numbered[2]) + 1) if numbered[1] == "witnesses" else ""
    else:
        whose = name_of(group)
    return f"{whose}: {called}" if whose and called else called


def with_name(field: str, text: str) -> str:
    """Return a message that names its field: the message itself if it does so."""
    called = name_of(field)
    return text if not called or called.casefold() in text.casefold() else f"{called}: {text}"
