"""Messages for the demonstration: written to a file beside the demo's other output, so that one can read the code one was sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sifilma.notifications.contract import Letter


@dataclass(frozen=True)
class ConsoleSender:
    """Appends to `file`; for demo mode only, since codes stand there in clear."""

    file: Path

    def send(self, letter: Letter) -> str:
        """Write it down."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as out:
            out.write(f"--- {letter.to}: {letter.subject}\n{letter.text}\n")
        return letter.key
