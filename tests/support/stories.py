"""Runs the `bash` blocks of a document in order, in one shell, and compares what they print with what the document claims.

A comment that begins with `# -> ` claims one printed line; `…` in it stands for any text. What is printed since the last claim must be
exactly what the claims that follow say, empty lines aside: text that nobody claims is a fault as well. A command that fails ends the run.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CLAIM = "# -> "
ANY = "…"
FENCE = re.compile(r"^```(\w*)$")
MARK = "\x1e"  # between the output of one step and of the next: no program here prints it


@dataclass
class Step:
    """Commands, with the line of the document they begin at, and the lines they are said to print."""

    line: int
    code: list[str] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Fault:
    """A step of the document that did not do what it says."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


def steps(document: str) -> list[Step]:
    """The steps of every `bash` block, in order."""
    found: list[Step] = []
    for number, line, is_first in _lines(document):
        claim = line.startswith(CLAIM)
        if is_first or (found[-1].claims and not claim):
            found.append(Step(number))
        if claim:
            found[-1].claims.append(line.removeprefix(CLAIM))
        else:
            found[-1].code.append(line)
    return found


def _lines(document: str) -> Iterator[tuple[int, str, bool]]:
    """Number and text of every line inside a `bash` block, and whether it is its block's first."""
    language: str | None = None
    is_first = False
    for number, line in enumerate(document.splitlines(), start=1):
        fence = FENCE.match(line)
        if fence:
            language, is_first = (fence[1], True) if language is None else (None, False)
        elif language == "bash":
            yield number, line, is_first
            is_first = False


def script(told: list[Step]) -> str:
    """One shell script of all steps."""
    parts = ["set -euo pipefail"]
    for step in told:
        parts += [*step.code, f"printf '{MARK}\\n'"]
    return "\n".join(parts) + "\n"


def run(document: str, folder: Path, environment: Mapping[str, str], seconds: float) -> list[Fault]:
    """Run every step in `folder`; the faults found. `subprocess.TimeoutExpired` after so many seconds."""
    told = steps(document)
    done = subprocess.run(
        ["/bin/bash", "-c", script(told)],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    printed = done.stdout.split(f"{MARK}\n")
    faults = [fault for step, text in zip(told, printed, strict=False) for fault in _compare(step, text)]
    if done.returncode:
        failed = told[min(len(printed) - 1, len(told) - 1)]
        faults.append(Fault(failed.line, f"exit status {done.returncode}: {done.stderr.strip()[-500:]}"))
    return faults


def _compare(step: Step, text: str) -> Iterator[Fault]:
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) != len(step.claims) or not all(map(fits, step.claims, lines)):
        yield Fault(step.line, f"claims {step.claims}, printed {lines}")


def fits(claim: str, line: str) -> bool:
    """Whether a printed line is what a claim says."""
    return re.fullmatch(".*".join(map(re.escape, claim.strip().split(ANY))), line.strip()) is not None
