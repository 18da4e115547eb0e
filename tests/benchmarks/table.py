"""The table that `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One figure: its name, the measured value, its bar (an upper one for `le`, a lower one for `ge`), and what it is compared with."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False
    against: str = ""

    @property
    def kept(self) -> bool:
        """Whether the bar is kept; true for a figure without a bar."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def show(lines: list[Line]) -> int:
    """Print the table; return 1 if a bar is missed, else 0."""
    print(f"\n{'what':56} {'measured':>14}   {'bar':>10}   against")
    for line in lines:
        sign = "" if line.bar is None else ("≥" if line.at_least else "≤") + f" {line.bar:g}"
        mark = "" if line.kept else "  MISSED"
        print(f"{line.what:56} {line.value:>9.2f} {line.unit:4}   {sign:>10}   {line.against}{mark}")
    return 0 if all(line.kept for line in lines) else 1
