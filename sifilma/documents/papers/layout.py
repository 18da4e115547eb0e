"""What typst lays out: a template in a folder, and the data that are passed to it as JSON through `sys.inputs`, never as code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import typst

FONTS = Path(__file__).resolve().parents[3] / "node_modules" / "@expo-google-fonts"
STANDARD: Final = "a-2u"
"""PDF/A-2u: typst refuses text that no font can display, and each sign of the file can be searched and copied."""
_NOT_DISPLAYED = re.compile(r'the text `"(.+?)"` could not be displayed')
_ESCAPED = re.compile(r"\\u\{([0-9a-fA-F]+)\}")


class Unprintable(Exception):
    """Some signs of a paper are in none of its fonts."""

    def __init__(self, signs: str) -> None:
        super().__init__(", ".join(map(named, signs)))
        self.signs = signs


def named(sign: str) -> str:
    """Return a sign with its number, such as `日 (U+65E5)`."""
    return f"{sign} (U+{ord(sign):04X})"


@dataclass(frozen=True)
class Layout:
    """A template, `<template>.typ`, in a folder of its own with what it reads. `is_first`: one of the first version, of no standard."""

    root: Path
    template: str
    is_first: bool = False

    def compiled(self, stated: Mapping[str, Any], *, tags: bool = True) -> bytes:
        """Return the PDF, with or without tags that name the parts of its pages to a screen reader. Raise Unprintable."""
        try:
            pdf: bytes = typst.compile(
                str(self.root / f"{self.template}.typ"),
                root=str(self.root),
                font_paths=_fonts(own=not self.is_first),
                sys_inputs={"data": json.dumps(stated, ensure_ascii=False)},
                timestamp=0,
                pdf_standards=[] if self.is_first else [STANDARD],
                pdf_tags=tags,
            )
        except typst.TypstError as fault:
            raise _understood(fault) from fault
        return pdf


@lru_cache(maxsize=2)
def _fonts(*, own: bool) -> typst.Fonts:
    """Return the fonts that come with typst (Libertinus Serif, DejaVu Sans Mono), and those of packages, which the first version had not.

    System fonts would make PDFs differ between machines.
    """
    return typst.Fonts(include_system_fonts=False, font_paths=[FONTS] if own else [])


def _understood(fault: typst.TypstError) -> Exception:
    parts = [_ESCAPED.sub(lambda number: chr(int(number[1], 16)), part) for part in _NOT_DISPLAYED.findall(fault.diagnostic)]
    return Unprintable("".join(dict.fromkeys("".join(parts)))) if parts else fault
