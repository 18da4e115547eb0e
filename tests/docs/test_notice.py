"""NOTICE.md lists what is pinned and installed; what it does not know is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import scripts
from tests.support.programs import ROOT
from tests.support.visitor import Visitor
from tests.support.world import World

NOTICE = scripts.load("notice")
TEXT = (ROOT / "NOTICE.md").read_text()


def test_the_tables_are_current() -> None:
    assert NOTICE.current(TEXT) == TEXT
    command = [sys.executable, str(ROOT / "scripts" / "notice.py"), "--check"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("was", "other"),
    [
        ("| flask | 3.1.3 | BSD-3-Clause |", "| flask | 3.0.0 | BSD-3-Clause |"),
        ("| leaflet | 1.9.4 | BSD-2-Clause |", "| leaflet | 1.9.4 | MIT |"),
        ("| six |", "| seven |"),
    ],
)
def test_another_version_licence_or_package_is_found(was: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert TEXT.count(was) == 1
    planted = tmp_path / "NOTICE.md"
    planted.write_text(TEXT.replace(was, other))
    assert NOTICE.main(planted, ["--check"]) == 1
    assert "not current" in capsys.readouterr().err
    assert NOTICE.main(planted, []) == 0
    assert planted.read_text() == TEXT


def test_a_package_without_words_and_words_without_a_package_are_refused() -> None:
    with pytest.raises(NOTICE.Incomplete, match=r"no words for \['flask'\]"):
        NOTICE.require_words("PYTHON", NOTICE.PYTHON.keys() - {"flask"}, NOTICE.direct())
    with pytest.raises(NOTICE.Incomplete, match=r"needless words for \['stranger'\]"):
        NOTICE.require_words("PYTHON", NOTICE.PYTHON | {"stranger": "nothing"}, NOTICE.direct())


def test_a_document_without_a_table_is_refused() -> None:
    with pytest.raises(NOTICE.Incomplete, match="npm"):
        NOTICE.current(TEXT.replace("<!-- made: npm -->", ""))


def test_what_is_shown_is_attributed() -> None:
    for words in ("Open Database License", "Fityan Nugroho", "I Gede Widiantara", "Natural Earth", "has no licence yet"):
        assert words in TEXT


def test_below_every_map_stands_whose_data_it_shows() -> None:
    maps = [path for path in (ROOT / "sifilma").rglob("templates/**/*.html") if 'class="map' in path.read_text()]
    assert len(maps) >= 4
    assert [path.name for path in maps if "{{ map_sources() }}" not in path.read_text()] == []


def test_the_about_page_names_the_data_of_others(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world, language="id")
    visitor.get("/tentang")
    for words in ("Open Database License (ODbL) 1.0", "Fityan Nugroho", "I Gede Widiantara", "Natural Earth"):
        assert words in visitor.seen
