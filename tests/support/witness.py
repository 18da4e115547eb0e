"""An installation with a witness: a folder beside it, and what the worker does for it."""

from __future__ import annotations

from pathlib import Path

from sifilma.app.chores import CHORES
from sifilma.kernel.db import db
from sifilma.witness import standing
from sifilma.witness.folder import FolderWitness
from sifilma.witness.standing import Found
from tests.support.world import World

RESERVED, TOLD = "numbers reserved at the witness", "statements told to the witness"


def witnessed(world: World, folder: Path, **settings: object) -> FolderWitness:
    """Give a world a witness in this folder, reserve its first numbers, and return the witness."""
    folder.mkdir(exist_ok=True)
    world.configure(witness=str(folder), **settings)
    tell(world)
    return FolderWitness(folder)


def tell(world: World) -> None:
    """Do what the worker does about the witness."""
    with world.app.app_context():
        for name in (TOLD, RESERVED, TOLD):
            CHORES[name].run()


def compared(world: World) -> Found:
    """Compare the database with its witness now, as each process does by itself each minute."""
    with world.context() as ctx:
        ctx.uow.begin_read()
        return standing.of(ctx.session).compare(ctx.session)


def started_anew(world: World) -> None:
    """Have the application know nothing of its witness, as after a start."""
    with world.app.app_context():
        standing.of(db.session).begin()


def otherwise_signed(signed: bytes) -> bytes:
    """Return a statement with another last sign than its own, whatever that is."""
    return signed[:-1] + (b"A" if signed[-1:] != b"A" else b"Q")
