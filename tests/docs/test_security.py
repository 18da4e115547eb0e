"""docs/security.md says of each table what guards it, and names only invariants that `fsck` holds."""

from __future__ import annotations

import re

from sifilma.fsck import catalogue
from sifilma.schema.tables import METADATA
from tests.support.programs import ROOT

DOCUMENT = (ROOT / "docs" / "security.md").read_text()
TYPES = {"row-differs"}
"""Types of problems of the API, which are spelled as invariants are."""


def section(title: str) -> str:
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_each_table_is_said_to_be_guarded_by_something_and_no_other() -> None:
    cells = re.findall(r"^\| (`.*?`) \|", section("What guards which table"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == set(METADATA.tables)


def test_each_invariant_that_is_named_is_one_of_fsck() -> None:
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", DOCUMENT))
    assert named - TYPES <= {one.name for one in catalogue.invariants()}
