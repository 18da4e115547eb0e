"""The demonstration's sender: it writes messages to a file, so that a player can read the code that was sent to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sifilma.notifications.contract import Letter


@dataclass(frozen=True)
class ConsoleSender:
    """Appends to `file`. For demo mode only, because codes are in clear there."""

    file: Path

    def send(self, letter: Letter) -> str:
        """Append the message to the file and return its key."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as out:
            out.write(f"--- {letter.to}: {letter.subject}\n{letter.text}\n")
        return letter.key
