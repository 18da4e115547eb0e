"""Runs `sifilma fsck` on the installation of a test."""

from __future__ import annotations

from sifilma.fsck.cli import installation
from sifilma.fsck.registry import Needs
from sifilma.fsck.run import examine
from tests.support.world import World


def fsck_findings(world: World, without: tuple[Needs, ...] = ()) -> list[str]:
    """Run fsck in this process.

    Returns one sentence for each finding, an empty list if nothing is broken. `without` leaves out the invariants that need the
    HSM or the files, which take longest.
    """
    with world.app.app_context():
        return [str(finding) for finding in examine(installation(), (), without, lambda _: None).findings]
