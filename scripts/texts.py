"""Collect the texts of every package into its Indonesian catalogue (`make texts`). `--check` reports what is missing instead."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
GETTEXT: dict[str, Any] = dict.fromkeys(("_", "gettext", "lazy_gettext")) | {"ngettext": (1, 2)}
SAID = {  # the position of the argument that a user reads, by the name of the call
    "say": 0,
    "Invalid": 0,
    "Conflict": 0,
    "Forbidden": 0,
    "NotFound": 0,
    "StepUpRequired": 0,
    "TooLarge": 0,
    "TooMany": 0,
    "TooOften": 0,
    "Unavailable": 0,
    "Unauthenticated": 0,
    "ValueError": 0,
    "Invalid.field": 1,
    "wrong": 1,
    "RowError": 2,
    "faults.refuse": 0,
    "found.refuse": 0,
}
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
JINJA = {"templates/**.html": {"newstyle_gettext": "true", "trimmed": "true", "silent": "false"}}
WITHOUT = {"app", "backup", "commands", "demo", "schema"}  # their texts appear on a terminal only, in English


def refusals(module: str) -> Iterator[str]:
    """Yield the sentences that a module's source passes to refusals and to `say`."""
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.Call) and (place := SAID.get(_name(node.func))) is not None and len(node.args) > place:
            yield from _constants(node.args[place])


def _name(node: ast.expr) -> str:
    """Return the called name, such as `say` or `Invalid.field`. Calls of other expressions get a name that matches nothing."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*_constants(node.body), *_constants(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value


def collected(package: Path) -> Catalog:
    """Return the texts in a package's code and templates."""
    found = Catalog(locale="id", charset="utf-8", fuzzy=False)
    for _, _, text, _, context in extract_from_dir(str(package), METHODS, JINJA, keywords=GETTEXT):
        found.add(text, context=context)
    for path in package.rglob("*.py"):
        for text in refusals(path.read_text()):
            found.add(text)
    return found


def known(path: Path) -> Catalog:
    """Return the catalogue as stored, or an empty one."""
    if not path.exists():
        return Catalog(locale="id", charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale="id")


def renewed(path: Path) -> bytes:
    """Return the catalogue as it should be: today's texts with their existing translations. A changed sentence loses its translation.

    Babel would copy the translation of a similar sentence (a fuzzy match). A wrong translation is worse than a missing one, which a
    test reports.
    """
    catalog = known(path)
    catalog.update(collected(path.parents[1]), no_fuzzy_matching=True)
    # Texts that are gone would stay as comments for ever. The header holds dates, which would change the file at every run.
    catalog.obsolete.clear()
    out = io.BytesIO()
    write_po(out, catalog, width=140, sort_output=True, no_location=True, omit_header=True)
    return out.getvalue()


def lacks(catalog: Catalog) -> list[str]:
    """Return the texts without a translation, with a fuzzy one, or whose translation lacks a placeholder."""
    missing = []
    for message in catalog:
        if message.id and (not message.string or message.fuzzy or (isinstance(message.string, tuple) and not all(message.string))):
            missing.append(str(message.id))
        elif message.id and any(True for _ in message.check(catalog)):
            missing.append(f"{message.id} (placeholders differ)")
    return missing


def catalogues(root: Path = ROOT) -> list[Path]:
    """Return the paths of the catalogues of all packages, including those that do not exist yet."""
    packages = (path.parent for path in (root / "sifilma").glob("*/__init__.py"))
    return sorted(package / "translations" / "id.po" for package in packages if package.name not in WITHOUT)


def check(path: Path) -> list[str]:
    """Return the faults of one catalogue, one sentence each."""
    data, there = renewed(path), path.read_bytes() if path.exists() else b""
    package = path.parents[1].name
    stale = [f"{package}: the catalogue is not of today's texts: make texts"] if data.strip() != there.strip() else []
    return stale + [f"{package}: {text}" for text in lacks(read_po(io.BytesIO(data), locale="id"))]


def renew(path: Path) -> None:
    """Write a catalogue. Packages without texts get none."""
    data = renewed(path)
    if data.strip() or path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def main(arguments: list[str]) -> int:
    """Write all catalogues, or check them with `--check`. Return 1 if a fault is left."""
    found = []
    for path in catalogues():
        if "--check" not in arguments:
            renew(path)
        found += check(path)
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
