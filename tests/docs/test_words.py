"""One word for one thing: no text that people read has a word that docs/glossary.md forbids."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tests.support import scripts
from tests.support.house import ROOT, Fault

TEXTS = scripts.load("texts")
GLOSSARY = ROOT / "docs" / "glossary.md"
NONE, EVERYWHERE = "–", "everywhere"
# Neither words of a screen: placeholders, code, addresses, and the values and names of a template or paper.
NOT_WORDS = re.compile(r"%\(\w+\)[a-z]|`[^`]*`|https?://\S+|\]\([^)]*\)|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|<[^>]*>|#?\b\w+(?:\.\w+)+", re.S)
INDONESIAN_IN_CODE = (  # what these modules write is Indonesian whatever the language of the page
    "sifilma/documents/indonesian.py", "sifilma/documents/letterhead.py", "sifilma/handover/bast.py", "sifilma/destruction/berita_acara.py",
    "sifilma/cards/import_table.py", "sifilma/oversight/import_table.py", "sifilma/activation/bulk/job_sheets.py",
)  # fmt: skip
ALSO_ENGLISH = {"browser", "checkpoint", "database", "download", "email", "file", "filter", "hash", "link", "password", "upload", "vendor"}


@dataclass(frozen=True)
class Words:
    """What one language never says, and the phrases in which it does, with the file of each (`everywhere`)."""

    never: frozenset[str]
    stays: tuple[tuple[str, str], ...]

    def found(self, path: str, text: str) -> list[str]:
        """Return the forbidden words of a text, longest first."""
        text = NOT_WORDS.sub(" ", text)
        for phrase, where in self.stays:
            if where in (EVERYWHERE, path):
                text = re.sub(_whole(phrase), " ", text, flags=re.IGNORECASE)
        return [word for word in sorted(self.never, key=len, reverse=True) if re.search(_whole(word), text, re.IGNORECASE)]


def _whole(words: str) -> str:
    return r"(?<![\w-])" + r"\s+".join(map(re.escape, words.split())) + r"(?:nya)?(?![\w-])"


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading of the glossary."""
    text = GLOSSARY.read_text()
    section = re.split(r"^#", text[text.index(heading) + len(heading) :], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def _listed(cell: str) -> list[str]:
    return [] if cell == NONE else [word.strip() for word in cell.split(",")]


@cache
def words(language: str) -> Words:
    """Return what the glossary forbids in a language: `en`, `id`."""
    column = {"en": 2, "id": 4}[language]
    never = frozenset(word for row in rows("## One word for one thing") for word in _listed(row[column]))
    stays = tuple((phrase, row[1].strip("`")) for row in rows("### Where such a word stays") for phrase in _listed(row[0]))
    return Words(never, stays)


def texts() -> Iterator[tuple[str, str, str]]:
    """Yield the language, the path and the text of everything that people read."""
    for path in TEXTS.catalogues():
        if path.exists():
            yield from _catalogue(path)
    yield "id", "README.id.md", (ROOT / "README.id.md").read_text()
    for path in sorted((ROOT / "sifilma").glob("documents/typst/*/*.typ")):
        yield "id", _name(path), re.sub(r"^//.*", "", path.read_text(), flags=re.MULTILINE)
    for path in sorted((ROOT / "sifilma").glob("*/templates/**/*.html")):
        text = re.sub(r"\{% trans.*?endtrans %\}", " ", path.read_text(), flags=re.DOTALL)  # collected into the catalogue
        yield from (("id", _name(path), line) for line in NOT_WORDS.sub(" ", text).splitlines() if line.strip())
    for name in INDONESIAN_IN_CODE:
        yield from (("code", name, text) for text in _literals((ROOT / name).read_text()))


def _catalogue(path: Path) -> Iterator[tuple[str, str, str]]:
    with path.open("rb") as file:
        for message in read_po(file, locale="id"):
            if message.id:
                for language, told in (("en", message.id), ("id", message.string)):
                    yield from ((language, _name(path), text) for text in ([told] if isinstance(told, str) else told or ()))


def _literals(module: str) -> Iterator[str]:
    """Yield the strings of a module that are no docstring."""
    tree = ast.parse(module)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    yield from (
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    )


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def faults(language: str, path: str, text: str) -> Iterator[Fault]:
    """Yield a fault for each forbidden word of a text. Strings of code are in either language: what English has too is passed over."""
    found = words("id" if language == "code" else language).found(path, text)
    for word in found:
        if language != "code" or word not in ALSO_ENGLISH:
            yield Fault(path, 1, f"{word!r} in {text.strip()[:120]!r}: the glossary has another word for it")


def test_no_text_has_a_word_for_which_the_glossary_has_another() -> None:
    assert [str(fault) for language, path, text in texts() for fault in faults(language, path, text)] == []


def test_the_table_is_read() -> None:
    assert {"nomor perangkat", "relokasi", "ditangguhkan", "tempat", "sidik isi"} <= words("id").never
    assert {"hash", "serial number"} <= words("en").never
    assert len(list(texts())) > 5000


@pytest.mark.parametrize(
    ("language", "path", "text", "word"),
    [
        ("id", "sifilma/cards/translations/id.po", "Isi nomor perangkatnya.", "nomor perangkat"),
        ("id", "sifilma/cards/translations/id.po", "Tempatnya meragukan.", "tempat"),
        ("id", "README.id.md", "kartu yang ditangguhkan", "ditangguhkan"),
        ("id", "sifilma/documents/typst/2/bast.typ", "[Relokasi mesin]", "relokasi"),
        ("en", "sifilma/cards/translations/id.po", "The hash of the file", "hash"),
        ("code", "sifilma/handover/bast.py", "Posisi", "posisi"),
        ("code", "sifilma/handover/bast.py", "Nomor perangkat", "nomor perangkat"),
    ],
)
def test_a_planted_synonym_is_caught(language: str, path: str, text: str, word: str) -> None:
    [fault] = faults(language, path, text)
    assert (fault.path, repr(word) in fault.what) == (path, True)


@pytest.mark.parametrize(
    ("language", "path", "text"),
    [
        ("id", "sifilma/web/translations/id.po", "Sistem Informasi File Manifest Management"),
        ("id", "sifilma/web/translations/id.po", "Baris %(file)s setempat"),
        ("id", "README.id.md", "lihat [bantuan](docs/file.md) dan `file`"),
        ("code", "sifilma/cards/import_table.py", "Nomor perangkat"),
        ("code", "sifilma/cards/import_table.py", "file"),
    ],
)
def test_what_the_glossary_lets_stay_is_left_alone(language: str, path: str, text: str) -> None:
    assert list(faults(language, path, text)) == []
