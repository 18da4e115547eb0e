"""The identifiers printed on cards and machines: how they are accepted and how they are kept."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from sifilma.kernel.text import Text, say

_HEX = re.compile(r"[0-9A-F]+")


def normalise_hex(text: str, digits: int, what: Text) -> str:
    """Upper-case hex of exactly `digits`; spaces, colons, dashes and lower case are accepted. ValueError in words."""
    plain = re.sub(r"[\s:\-]", "", text).upper()
    if len(plain) != digits or not _HEX.fullmatch(plain):
        raise ValueError(say("%(what)s has %(digits)s hexadecimal digits", what=what, digits=digits))
    return plain


def normalise_uid(text: str) -> str:
    """A card UID: 8 bytes, 16 hex digits."""
    return normalise_hex(text, 16, say("A card UID"))


def normalise_pcid(text: str) -> str:
    """A PCID: 16 bytes, 32 hex digits."""
    return normalise_hex(text, 32, say("A PCID"))


def normalise_kcv(text: str) -> str:
    """A key check value: 3 bytes, 6 hex digits."""
    return normalise_hex(text, 6, say("A key check value"))


def normalise_hardware(text: str) -> str:
    """A hardware number: upper case, without white space."""
    plain = re.sub(r"\s", "", text).upper()
    if not re.fullmatch(r"[A-Z0-9][A-Z0-9./_-]{0,39}", plain):
        raise ValueError(say("A hardware number has 1 to 40 letters, digits, dots, dashes or slashes"))
    if not plain.strip("0"):
        raise ValueError(say("A hardware number of zeros is no hardware number: read it from the machine"))
    return plain


def perso_warning(text: str) -> str | None:
    """A warning for a `sam_perso` that is not the 16 characters printed on the card (a digit is easily lost)."""
    length = len(text.strip())
    if not text or length == 16:
        return None
    return say("SAM Perso %(text)r has %(length)s characters instead of 16. Check the card.", text=text, length=length)


Uid = Annotated[str, StringConstraints(max_length=40), AfterValidator(normalise_uid)]
Pcid = Annotated[str, StringConstraints(max_length=64), AfterValidator(normalise_pcid)]
Kcv = Annotated[str, StringConstraints(max_length=16), AfterValidator(normalise_kcv)]
HardwareNumber = Annotated[str, StringConstraints(max_length=60), AfterValidator(normalise_hardware)]
