"""Which kind of installation a home belongs to: a file that is written when the home is made, and that no other kind may use.

Practice and reality have folders of their own. A command of the other kind would sign with wrong keys, or count wrong cards as real.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from config.settings import Settings, SettingsError

NAME = "kind"
SEALS = "seals"
"""A file that says since when this home has had a database whose rows of people, sessions and keys are sealed."""


def kind_of(home: Path) -> str:
    """Return the kind of installation that a home belongs to, or an empty text if it says nothing (it is new, or older than this file)."""
    try:
        return (home / NAME).read_text().strip()
    except OSError:
        # A demonstration of before, which had no such file, has its list of accounts.
        return "demo" if (home / "demo" / "accounts.json").exists() else ""


def require_home(settings: Settings) -> None:
    """Raise SettingsError if the home belongs to another kind of installation."""
    kind = kind_of(settings.home)
    if kind and kind != settings.env:
        raise SettingsError(
            f"SIFILMA_HOME is the folder of a {kind} installation, and SIFILMA_ENV says {settings.env}: set a folder of its own."
        )


def claim_home(settings: Settings) -> None:
    """Make the home if there is none, and write down whose it is. Raise SettingsError if it belongs to another kind of installation."""
    require_home(settings)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (settings.home / NAME).exists():
        (settings.home / NAME).write_text(settings.env + "\n")


def are_seals_known(settings: Settings) -> bool:
    """Return whether this home has had a database with seals. Who can write to the database alone cannot make that undone."""
    return (settings.home / SEALS).exists()


def note_seals(settings: Settings, moment: datetime) -> None:
    """Write down, once, that the database of this home has seals."""
    if not are_seals_known(settings):
        (settings.home / SEALS).write_text(f"{moment.isoformat(timespec='seconds')}\n")
