"""The faults that a verification of the log can find, and its report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

AT_MOST = 20  # findings listed per fault


class Fault(StrEnum):
    """What was done to the log."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT = "cut"
    REWRITTEN = "rewritten"
    TREE = "tree"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Finding:
    """One fault: its kind, a sentence about it, and where it is (`seq` is the place in the log)."""

    fault: Fault
    text: str
    seq: int | None = None
    entry_id: UUID | None = None


@dataclass
class Report:
    """The result of a verification. At most AT_MOST findings of each fault are listed; `more` counts the others."""

    size: int
    checkpoints: int = 0
    waiting: int = 0
    findings: list[Finding] = field(default_factory=list)
    more: Counter[Fault] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Return whether the log is what was signed."""
        return not self.findings

    def add(self, fault: Fault, text: str, seq: int | None = None, entry_id: UUID | None = None) -> None:
        """Add a finding."""
        if sum(found.fault is fault for found in self.findings) < AT_MOST:
            self.findings.append(Finding(fault, text, seq, entry_id))
        else:
            self.more[fault] += 1
