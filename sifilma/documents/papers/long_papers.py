"""A paper with a long list, laid out in parts, each by a process of its own.

typst takes 110 KB for each row of a table, and keeps what it laid out in its last ten calls. So a process that lays out one part and ends
is the only one whose memory has a limit.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pikepdf import Pdf

from sifilma.documents.papers.layout import Layout, Unprintable

ROWS = 1_000
"""Rows of a part: 190 MB of the process that lays it out."""
SECONDS = 120.0
"""Seconds that a part may take: it takes one on a machine without other work."""
UNPRINTABLE = 3
"""The exit code of a child that prints the signs which no font has."""
ROOT = Path(__file__).resolve().parents[3]
START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from sifilma.documents.papers.long_papers import child; sys.exit(child(*sys.argv[2:]))"
)


def laid_out(layout: Layout, stated: Mapping[str, Any]) -> bytes:
    """Return the PDF of a paper whose list is `stated["cards"]`. Each part is laid out twice: before, its pages are not counted.

    Its pages have no tags: those of a part belong to the file of the part, and would be nine tenths of the paper. Raise Unprintable for
    signs that no font has, and RuntimeError if a process ends otherwise.
    """
    starts = range(0, len(stated["cards"]), ROWS)

    def part(start: int, before: int, pages: int) -> Path:
        told = {"first": start == 0, "last": start == starts[-1], "before": before, "pages": pages}
        return _part(layout, start, {**stated, "cards": stated["cards"][start : start + ROWS], "part": told})

    counts = [_pages(part(start, 0, 0)) for start in starts]
    files = [part(start, sum(counts[:number]), sum(counts)) for number, start in enumerate(starts)]
    out = io.BytesIO()
    with ExitStack() as opened:
        whole, *others = [opened.enter_context(Pdf.open(file)) for file in files]
        for other in others:
            whole.pages.extend(other.pages)
        whole.save(out, deterministic_id=True)
    return out.getvalue()


def _part(layout: Layout, start: int, stated: Mapping[str, Any]) -> Path:
    file = layout.root / f"part-{start}.pdf"
    # -I, and no environment: as the children that read uploads (`reading.py`).
    command = [sys.executable, "-I", "-c", START, str(ROOT), str(layout.root), layout.template, str(file)]
    sent = json.dumps(stated, ensure_ascii=False).encode()
    ended = subprocess.run(command, input=sent, capture_output=True, env={}, timeout=SECONDS, check=False)  # noqa: S603
    if ended.returncode == UNPRINTABLE:
        raise Unprintable(ended.stdout.decode())
    if ended.returncode != 0:
        told = ended.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"a part of a paper was not laid out: {told.rpartition(chr(10))[2]}")
    return file


def child(root: str, template: str, file: str) -> int:
    """Lay out what comes by standard input, write the PDF, and return the exit code."""
    try:
        pdf = Layout(Path(root), template).compiled(json.loads(sys.stdin.buffer.read()), tags=False)
    except Unprintable as unknown:
        sys.stdout.buffer.write(unknown.signs.encode())
        return UNPRINTABLE
    Path(file).write_bytes(pdf)
    return 0


def _pages(file: Path) -> int:
    with Pdf.open(file) as pdf:
        return len(pdf.pages)
