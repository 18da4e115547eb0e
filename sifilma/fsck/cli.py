"""The command `sifilma fsck`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from flask.cli import with_appcontext

from sifilma.fsck import catalogue
from sifilma.fsck.registry import Needs
from sifilma.fsck.run import Finding, Installation, Report, examine
from sifilma.kernel.db import db
from sifilma.resources import resources


@click.command("fsck")
@with_appcontext
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
@click.option("--only", multiple=True, metavar="NAME", help="Check only this invariant; can be given several times.")
@click.option("--without-hsm", is_flag=True, help="Leave out the checks of sealed values, which need the HSM.")
@click.option("--list", "as_list", is_flag=True, help="List the invariants without checking them.")
def fsck(as_json: bool, only: tuple[str, ...], without_hsm: bool, as_list: bool) -> None:
    """Check every invariant. Reads only, and may run while the system works. Names what is broken, and exits with 1 then."""
    if as_list:
        for one in catalogue.invariants():
            click.echo(f"{one.name:28} {one.sentence}")
        return
    report = examine(installation(), only, (Needs.HSM,) if without_hsm else (), (lambda _: None) if as_json else _tell)
    click.echo(json.dumps(_document(report), indent=2) if as_json else _summary(report))
    if not report.ok:
        sys.exit(1)


def installation() -> Installation:
    """Return the installation of this process."""
    return Installation(db.engine, resources().settings, resources().hsm, resources().files, resources().clock)


def _tell(finding: Finding) -> None:
    click.echo(str(finding))


def _summary(report: Report) -> str:
    names = {finding.invariant for finding in report.findings}
    left = f" Not looked at: {', '.join(one.name for one in report.left_out)}." if report.left_out else ""
    if report.ok:
        return f"{len(report.looked_at)} invariants hold.{left}"
    return f"{len(report.findings)} findings against {len(names)} of {len(report.looked_at)} invariants.{left}"


def _document(report: Report) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for finding in report.findings:
        counts[finding.invariant] = counts.get(finding.invariant, 0) + 1
    return {
        "ok": report.ok,
        "invariants": [{"name": one.name, "sentence": one.sentence, "findings": counts.get(one.name, 0)} for one in report.looked_at],
        "left_out": [one.name for one in report.left_out],
        "findings": [{"invariant": f.invariant, "kind": f.broken.kind, "id": f.broken.id, "says": f.broken.says} for f in report.findings],
    }
