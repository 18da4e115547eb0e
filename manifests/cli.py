"""`python -m manifests verify FILE …` verifies manifests offline.

The exit status is 0 if every file is valid, 1 if a file is refused (with one reason on standard output), 2 if an input cannot be used.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from manifests import state
from manifests.verifier import Expectations, Verdict, verify


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the highest exit status of all files."""
    parser = _parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return 0 if not stop.code else 2  # argparse exits after --help (0) and for wrong arguments
    try:
        expected = _expectations(args)
        files = [(name, Path(name).read_bytes()) for name in args.files]
    except (OSError, ValueError) as unusable:
        print(f"unusable: {unusable}", file=sys.stderr)
        return 2
    try:
        if args.state:
            state.remember(Path(args.state), expected)
    except (OSError, ValueError) as unusable:
        print(f"unusable: {unusable}", file=sys.stderr)
        return 2
    return max(_report(name, verify(data, expected)) for name, data in files)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manifests", description="Verify SAM manifests offline.")
    verify_ = parser.add_subparsers(dest="command", required=True).add_parser("verify", help="verify manifest files")
    verify_.add_argument("files", nargs="+", metavar="FILE")
    verify_.add_argument("--root-sha256", required=True, help="SHA-256 (hex) of the root key's SubjectPublicKeyInfo")
    verify_.add_argument("--keyset", required=True, help="sam-keyset.jws")
    verify_.add_argument("--status", help="the status list the manifest points to")
    verify_.add_argument("--uid", help="the card's UID: 16 hex digits, spaces and colons allowed")
    verify_.add_argument("--min-epoch", type=int, help="the epoch of the newest sequence; default the manifest's own")
    verify_.add_argument("--min-seq", type=int, default=0, help="the newest sequence the reader has seen")
    verify_.add_argument("--min-keyset-version", type=int, default=0, help="the highest version of a keyset that the reader has seen")
    verify_.add_argument("--state", help="a file that remembers that version from one call to the next; made if it is missing")
    verify_.add_argument("--at", help="the moment to verify for: seconds, or ISO 8601 with a zone; default now")
    return parser


def _expectations(args: argparse.Namespace) -> Expectations:
    pin = args.root_sha256.lower().replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", pin):
        raise ValueError("--root-sha256 must be 64 hex digits")
    uid = re.sub(r"[\s:]", "", args.uid).upper() if args.uid is not None else None
    if uid is not None and not re.fullmatch(r"[0-9A-F]{16}", uid):
        raise ValueError("--uid must be 16 hex digits")
    return Expectations(
        root_sha256=pin,
        keyset=Path(args.keyset).read_bytes(),
        at=_moment(args.at),
        status=Path(args.status).read_bytes() if args.status else None,
        uid=uid,
        min_epoch=args.min_epoch,
        min_seq=args.min_seq,
        min_keyset_version=max(args.min_keyset_version, state.highest(Path(args.state), pin) if args.state else 0),
    )


def _moment(text: str | None) -> int:
    if text is None:
        return int(time.time())
    if text.isdigit():
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("--at needs a time zone")
    return int(moment.timestamp())


def _report(name: str, verdict: Verdict) -> int:
    if not verdict.valid:
        print(f"{name}: REFUSED {verdict.reason}: {verdict.detail}")
        return 1
    manifest = verdict.manifest
    assert manifest is not None  # noqa: S101  # a valid verdict has one
    print(f"{name}: VALID card {manifest.sub} seq {manifest.seq} unit {manifest.unit.hw} at {manifest.loc.code} until {manifest.exp}")
    if verdict.warning:
        print(f"{name}: WARNING {verdict.warning}")
    return 0
