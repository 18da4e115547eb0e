"""Runs `sifilma fsck` on the installation of a test."""

from __future__ import annotations

from sifilma.fsck import catalogue
from sifilma.fsck.cli import installation
from sifilma.fsck.registry import Needs
from sifilma.fsck.run import examine
from tests.support.world import World

STANDING = ("schema-head", "region-recorded")
"""Invariants of what no act of a card changes. They read the whole schema and 91,000 region codes: a third of the time of a run."""


def fsck_findings(world: World, without: tuple[Needs, ...] = (), *, standing: bool = True) -> list[str]:
    """Run fsck in this process.

    Returns one sentence for each finding, an empty list if nothing is broken. `without` leaves out the invariants that need the
    HSM or the files, which take longest. A test that runs fsck again and again asks for the `standing` ones in its last run: nothing
    makes them hold again once they are broken.
    """
    only = () if standing else [one.name for one in catalogue.invariants() if one.name not in STANDING]
    with world.app.app_context():
        return [str(finding) for finding in examine(installation(), only, without, lambda _: None).findings]
