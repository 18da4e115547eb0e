"""Collect the texts of every package into its Indonesian catalogue, or (`--check`) say what is missing. `make texts` runs it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
KEYWORDS: dict[str, object] = dict.fromkeys(("_", "gettext", "lazy_gettext", "say", "translate")) | {
    "ngettext": (1, 2),
    "Invalid": None, "Conflict": None, "Forbidden": None, "NotFound": None, "TooLarge": None, "TooMany": None, "Unavailable": None,
    "Unauthenticated": None, "ValueError": None, "field": (2,), "wrong": (2,), "RowError": (3,),
}  # fmt: skip
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"templates/**.html": {"newstyle_gettext": "true", "trimmed": "true", "silent": "false"}}


def collected(package: Path) -> Catalog:
    """The texts a package's code and templates hold."""
    found = Catalog(locale="id", charset="utf-8", fuzzy=False)
    for name, _, text, comments, context in extract_from_dir(str(package), METHODS, OPTIONS, keywords=KEYWORDS):
        found.add(text, None, [(name, 0)], auto_comments=comments, context=context)
    return found


def known(path: Path) -> Catalog:
    """The catalogue as it is."""
    if not path.exists():
        return Catalog(locale="id", charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale="id")


def renewed(path: Path) -> bytes:
    """The catalogue as it should be: what is said today, with the translations there are; a changed sentence starts anew."""
    catalog = known(path)
    catalog.update(collected(path.parents[1]), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    out = io.BytesIO()
    write_po(out, catalog, width=140, sort_output=True, no_location=True, omit_header=True)
    return out.getvalue()


def lacks(catalog: Catalog) -> list[str]:
    """What is not translated, or only perhaps, or loses a value on the way."""
    missing = []
    for message in catalog:
        if message.id and (not message.string or message.fuzzy or (isinstance(message.string, tuple) and not all(message.string))):
            missing.append(str(message.id))
        elif message.id and any(True for _ in message.check(catalog)):
            missing.append(f"{message.id} (placeholders differ)")
    return missing


def main(arguments: list[str]) -> int:
    """Write every catalogue, or check them; 1 if something is missing."""
    wrong = 0
    for package in sorted(path.parent for path in (ROOT / "sifilma").glob("*/__init__.py")):
        path = package / "translations" / "id.po"
        data = renewed(path)
        stale = data != (path.read_bytes() if path.exists() else b"") and (data.strip() or path.exists())
        if "--check" not in arguments and stale:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        elif stale:
            print(f"{package.name}: the catalogue is not of today's texts: make texts")
            wrong += 1
        for text in lacks(read_po(io.BytesIO(data), locale="id")):
            print(f"{package.name}: {text}")
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
