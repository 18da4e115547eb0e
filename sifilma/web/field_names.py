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
    "branch_code": _("Branch code"),
    "certificate": _("The paper (PDF)"),
    "contact_email": _("E-mail address there"),
    "contact_name": _("Who answers there"),
    "contact_phone": _("Telephone there"),
    "chore": _("Task"),
    "code": _("Code"),
    "condition": _("What happened"),
    "count": _("Quantity"),
    "current": _("Present password"),
    "damaged": _("Damaged cards"),
    "days": _("Period in days"),
    "decision": _("Decision"),
    "decree": _("The decree (PDF)"),
    "decree_date": _("Decree date"),
    "decree_number": _("Decree number"),
    "delivered_on": _("Delivered on"),
    "document": _("The agreement as a PDF"),
    "email": _("E-mail address"),
    "executed_at": _("Date and time"),
    "file": _("File"),
    "former": _("What becomes of the outgoing head's account"),
    "function": _("Function"),
    "hardware_number": _("Hardware number"),
    "id_kind": _("Kind of id number"),
    "id_number": _("Id number"),
    "institution": _("Institution"),
    "invited": _("A new person"),
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
    "card_list": _("File with UIDs"),
    "name": _("Name"),
    "object_id": _("Task"),
    "note": _("Note"),
    "notes": _("Notes"),
    "number": _("Number"),
    "office": _("Office"),
    "official": _("Responsible official"),
    "on_behalf_of": _("Buyer"),
    "organisation": _("Organisation"),
    "others": _("Cards that did not come, or came damaged"),
    "otp_code": _("One-time code"),
    "outcome": _("Outcome"),
    "outgoing": _("Outgoing head"),
    "outlet": _("Outlet"),
    "outlets": _("Outlets"),
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
    "repeat": _("The password again"),
    "replacements": _("Machines that take the cards"),
    "replaces": _("Cards that are replaced"),
    "results": _("File of results"),
    "role": _("Role"),
    "roles": _("Roles"),
    "sam_perso": _("SAM Perso"),
    "sam_uid": _("UID of the card"),
    "scopes": _("What the program may do"),
    "source": _("Source of the position"),
    "subject": _("Subject"),
    "successor": _("New head"),
    "supplier": _("Supplier"),
    "tkdn": _("TKDN in percent"),
    "to": _("Receiver"),
    "token": _("Token"),
    "uids": _("UIDs"),
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
    numbered = _ITEM.fullmatch(group)
    whose = _item(numbered[1], int(numbered[2]) + 1) if numbered else name_of(group)
    return f"{whose}: {called}" if whose and called else called


def _item(group: str, number: int) -> str:
    """Return what an item of a list is called, by its number from 1."""
    if group == "witnesses":
        return str(gettext("Witness %(number)s", number=number))
    return str(gettext("Card %(number)s", number=number)) if group == "replacements" else ""


def with_name(field: str, text: str) -> str:
    """Return a message that names its field: the message itself if it does so."""
    called = name_of(field)
    return text if not called or called.casefold() in text.casefold() else f"{called}: {text}"
