"""The identifiers printed on cards and machines: how they are accepted, and in which form they are stored."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from sifilma.kernel.text import Text, say

_HEX = re.compile(r"[0-9A-F]+")


def plain_hex(text: str) -> str:
    """Return what was typed or scanned without white space, colons and dashes, in upper case. It may be anything."""
    return re.sub(r"[\s:\-]", "", text).upper()


def normalise_hex(text: str, digits: int, what: Text) -> str:
    """Return exactly `digits` upper-case hexadecimal digits. White space, colons, dashes and lower case are accepted.

    Raise ValueError, with a sentence for the user that names `what`, for anything else.
    """
    plain = plain_hex(text)
    if len(plain) != digits or not _HEX.fullmatch(plain):
        raise ValueError(say("%(what)s has %(digits)s hexadecimal digits", what=what, digits=digits))
    return plain


def normalise_uid(text: str) -> str:
    """Return a card UID: 8 bytes as 16 upper-case hexadecimal digits. Raise ValueError."""
    return normalise_hex(text, 16, say("A card UID"))


def normalise_pcid(text: str) -> str:
    """Return a PCID: 16 bytes as 32 upper-case hexadecimal digits. Raise ValueError."""
    return normalise_hex(text, 32, say("A PCID"))


def pcid_seal(pcid: str) -> str:
    """Return what a paper prints of a PCID: the first 16 hexadecimal digits, upper case, of the SHA-256 of its 16 bytes.

    Whoever has the PCID can compare; whoever has the paper alone does not learn it.
    """
    return hashlib.sha256(bytes.fromhex(pcid)).hexdigest()[:16].upper()


def normalise_kcv(text: str) -> str:
    """Return a key check value: 3 bytes as 6 upper-case hexadecimal digits. Raise ValueError."""
    return normalise_hex(text, 6, say("A key check value"))


def normalise_hardware(text: str) -> str:
    """Return a hardware number in upper case without white space. Raise ValueError if it has other characters, or zeros only."""
    plain = re.sub(r"\s", "", text).upper()
    if not re.fullmatch(r"[A-Z0-9][A-Z0-9./_-]{0,39}", plain):
        raise ValueError(say("A hardware number has 1 to 40 letters, digits, dots, dashes or slashes"))
    if not plain.strip("0"):
        raise ValueError(say("A hardware number of zeros is no hardware number: read it from the machine"))
    return plain


def perso_warning(text: str) -> str | None:
    """Return a warning if `sam_perso` is given but has not 16 characters, as printed on the card (a digit is easily lost), else None."""
    length = len(text.strip())
    if not text or length == 16:
        return None
    return say("SAM Perso %(text)r has %(length)s characters instead of 16. Check the card.", text=text, length=length)


def perso_warnings(text: str) -> list[str]:
    """Return the warning of `perso_warning` as a list, empty if there is none."""
    return [told] if (told := perso_warning(text)) else []


Uid = Annotated[str, StringConstraints(max_length=40), AfterValidator(normalise_uid)]
Pcid = Annotated[str, StringConstraints(max_length=64), AfterValidator(normalise_pcid)]
Kcv = Annotated[str, StringConstraints(max_length=16), AfterValidator(normalise_kcv)]
HardwareNumber = Annotated[str, StringConstraints(max_length=60), AfterValidator(normalise_hardware)]
