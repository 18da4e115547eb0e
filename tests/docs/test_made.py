"""The made blocks of the documents are what the code says, and the words written around them name what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from config.settings import Settings
from sifilma.cards.models import CARD, CardState
from sifilma.identity.permissions import TABLE, Column, Operation
from sifilma.kernel.lifecycle import Transition
from tests.docs import citations
from tests.support import scripts
from tests.support.programs import ROOT

DOCS = scripts.load("docs")
DOMAIN = (ROOT / "docs" / "domain.md").read_text()
RECORDS = ROOT / "docs" / "decisions"
SECTIONS = ["Context", "Decision", "Consequences", "Rejected"]
SHORTEST, LONGEST = 20, 45
"""Lines of a decision record."""


def section(document: str, title: str) -> str:
    """Return the text below a heading."""
    return document.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_every_made_block_equals_what_the_code_makes() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_kind_of_block_stands_in_a_document() -> None:
    found = {name for path in DOCS.documents(ROOT) for name, _ in DOCS.BLOCK.findall(path.read_text())}
    assert found == set(DOCS.BLOCKS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of the documents."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("screenshots"))
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "block", "was", "other"),
    [
        ("docs/domain.md", "permissions", "| `token.reveal` | - |", "| `token.reveal` | A |"),
        ("docs/domain.md", "card life", "    lost --> received", "    lost --> active"),
        ("README.md", "card life", "    lost --> received", "    lost --> active"),
        ("docs/domain.md", "states", "| `superseded` | Digantikan |", "| `superseded` | Diganti |"),
        ("docs/operations.md", "settings", "| `SIFILMA_TOKEN_DAYS` | `14` |", "| `SIFILMA_TOKEN_DAYS` | `30` |"),
        ("docs/quality.md", "invariants", "| A token is redeemed once. |", "| A token is redeemed twice. |"),
        ("docs/quality.md", "house rules", "| Only commands print. |", "| Everybody prints. |"),
    ],
)
def test_a_planted_difference_is_named_and_written_over(
    copy: Path, capsys: pytest.CaptureFixture[str], name: str, block: str, was: str, other: str
) -> None:
    right = (copy / name).read_text()
    assert right.count(was) == 1
    (copy / name).write_text(right.replace(was, other))
    assert DOCS.main(["--check"], copy) == 1
    assert f"{name}: not what the code says: {block}." in capsys.readouterr().err
    assert (copy / name).read_text() != right
    assert DOCS.main([], copy) == 0
    assert (copy / name).read_text() == right
    assert DOCS.main(["--check"], copy) == 0


@contextmanager
def changed_code() -> Iterator[None]:
    """A permission that is gone and a step that is new, within the block."""
    row, steps = TABLE[Operation.TOKEN_REVEAL], CARD.transitions
    grant = row.pop(Column.REGENCY)
    CARD.transitions = (*steps, Transition(CardState.LOST, CardState.DESTROYED))
    try:
        yield
    finally:
        row[Column.REGENCY], CARD.transitions = grant, steps


def test_a_document_that_the_code_has_left_behind_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with changed_code():
        assert DOCS.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "README.md: not what the code says: card life." in told
    assert "docs/domain.md: not what the code says: card life, states, permissions." in told
    assert DOCS.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<!-- made: weather -->\n<!-- /made -->\n", "there is no made block 'weather'"),
        ("<!-- made: card life -->\nwithout an end\n", "a made block has no beginning or no end"),
        ("without a beginning\n<!-- /made -->\n", "a made block has no beginning or no end"),
        ("<!-- made: Card Life -->\n<!-- /made -->\n", "a made block has no beginning or no end"),
    ],
)
def test_a_marker_that_cannot_be_used_is_refused(copy: Path, capsys: pytest.CaptureFixture[str], text: str, fault: str) -> None:
    (copy / "docs" / "planted.md").write_text(text)
    assert DOCS.main([], copy) == 1
    assert f"docs/planted.md: {fault}" in capsys.readouterr().err
    assert (copy / "docs" / "planted.md").read_text() == text


def test_a_setting_without_words_is_refused() -> None:
    class Wordless(Settings):
        silent: int = 1

    with pytest.raises(DOCS.Unusable, match="silent has no description"):
        DOCS._setting("silent", Wordless.model_fields["silent"])


# --- words around them -----------------------------------------------------------------------------------------------


def test_every_operation_is_explained_in_words() -> None:
    words = DOCS.BLOCK.sub("", DOMAIN)
    assert [operation for operation in Operation if f"`{operation}`" not in words] == []


ABBREVIATED = {"berita acara serah terima"}
"""What an abbreviation stands for; the screens have the abbreviation (BAST)."""


def strange_words(words: Iterable[str]) -> list[str]:
    """Return the words that no screen says in Indonesian."""
    shown = []
    for path in sorted((ROOT / "sifilma").glob("*/translations/id.po")):
        with path.open("rb") as file:
            shown += [str(message.string) for message in read_po(file, locale="id")]
    text = "\n".join(shown).casefold()
    return [word for word in words if word.casefold() not in text]


def test_every_word_said_to_stand_on_a_screen_does() -> None:
    last_columns = re.sub(r"^\| [^|]*\|", "", section(DOMAIN, "Words"), flags=re.MULTILINE)
    words = set(re.findall(r"\*([^*|\n]+)\*", last_columns))
    assert len(words) > 50
    assert strange_words(words - ABBREVIATED) == []
    assert strange_words(["kartu SAM", "kartu perdana"]) == ["kartu perdana"]


def test_the_rules_keep_their_numbers() -> None:
    assert citations.rules("docs/domain.md") == set(range(1, 15))
    assert [int(number) for number in re.findall(r"^(\d+)\. \*\*", section(DOMAIN, "Rules"), re.MULTILINE)] == list(range(1, 15))


def test_defaults_named_in_words_are_those_of_the_settings() -> None:
    documents = [ROOT / "docs" / name for name in ("domain.md", "quality.md", "glossary.md")] + sorted(RECORDS.glob("*.md"))
    text = "\n".join(DOCS.BLOCK.sub("", path.read_text()) for path in documents)
    named = set(re.findall(r"`SIFILMA_([A-Z_]+)`", text))
    assert named - {name.upper() for name in Settings.model_fields} == set()
    told = re.findall(r"`SIFILMA_([A-Z_]+)`(?:,| \()\s*(\d+)", text)
    assert len(told) >= 8
    assert [(name, value) for name, value in told if str(Settings.model_fields[name.lower()].default) != value] == []


# --- decisions -------------------------------------------------------------------------------------------------------


def test_the_index_of_decisions_has_every_record_in_its_order() -> None:
    files = sorted(path.name for path in RECORDS.glob("[0-9]*.md"))
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \|$", (RECORDS / "README.md").read_text(), re.MULTILINE)
    assert [name for _, name, _ in listed] == files
    assert [number for number, _, _ in listed] == [f"{number:04}" for number in range(1, len(files) + 1)]


@pytest.mark.parametrize("path", sorted(RECORDS.glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_a_decision_has_its_parts_and_is_short(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.name[:4]}: ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert SHORTEST <= len(text.splitlines()) <= LONGEST
