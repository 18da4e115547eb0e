"""Region codes `PP.KK.CC.VVVV` (kode wilayah, Kemendagri): their form, level and parents."""

from __future__ import annotations

import re

from sifilma.kernel.errors import Invalid

_CODE = re.compile(r"\d{2}(\.\d{2}(\.\d{2}(\.[123]\d{3})?)?)?")
_WIDTH = {2: 1, 5: 2, 8: 3, 13: 4}
WIDTHS = tuple(_WIDTH)
VILLAGE = 4


def normalise(code: str) -> str:
    """Return the dotted code; digits without dots are accepted too. Raise Invalid for others (a village begins with 1, 2 or 3)."""
    digits = re.sub(r"[.\s]", "", code)
    dotted = ".".join(part for part in (digits[:2], digits[2:4], digits[4:6], digits[6:]) if part)
    if not _CODE.fullmatch(dotted):
        raise Invalid.field("region_code", "A region code looks like 35.20.01.2001.")
    return dotted


def level(code: str) -> int:
    """Return the level: 1 province, 2 regency or city, 3 district, 4 village."""
    return _WIDTH[len(code)]


def parent(code: str) -> str | None:
    """Return the code one level up, or None for a province."""
    return code.rpartition(".")[0] or None


def is_within(code: str, above: str) -> bool:
    """Return whether a code is `above` or lies below it."""
    return code == above or code.startswith(f"{above}.")


def regency_of(code: str) -> str:
    """Return the regency's code, the first five characters. The place check works on regencies."""
    return code[:5]
