"""Whether an installation is sound: `sifilma fsck` of what it holds."""

from __future__ import annotations

from sifilma.fsck.cli import installation
from sifilma.fsck.registry import Needs
from sifilma.fsck.run import examine
from tests.support.world import World


def sound(world: World, without: tuple[Needs, ...] = ()) -> list[str]:
    """What is broken, in words; nothing, if all is well. `without` leaves out what takes long."""
    with world.app.app_context():
        return [str(finding) for finding in examine(installation(), (), without, lambda _: None).findings]
