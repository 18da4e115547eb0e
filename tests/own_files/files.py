"""Ask for files, and let a worker write them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sifilma.own_files import writer
from sifilma.web.command import command_context
from tests.support.world import Client, World, done

PARTS = "SELECT COUNT(*) FROM own_file_part"


def written(world: World, seconds: float = 30) -> int:
    """Let a worker write files for at most so long. Return the number of rows."""
    with world.app.app_context():
        return writer.work(command_context, world.settings, seconds)


def one_turn(world: World, file_id: str, seconds: float = 0) -> None:
    """Give a file one turn: with no seconds, that of the first rows only."""
    with world.app.app_context():
        writer.turn(command_context, world.settings, UUID(file_id), seconds)


def asked(client: Client, address: str, form: str = "csv") -> Any:
    """Ask for a list as a file."""
    return done(client.post("/files", {"list": address, "form": form}), 202)


def fetched(client: Client, file: Any) -> Any:
    """Return the answer to a download."""
    return client.post(f"/files/{file['id']}/download")
