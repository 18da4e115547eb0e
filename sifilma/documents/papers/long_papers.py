"""A paper with a long list, laid out in parts, each by a process of its own.

typst takes 110 KB for each row of a table, and keeps what it laid out in its last ten calls. A process that lays out one part and ends does
not grow with the paper.
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

import structlog
from pikepdf import Pdf

from sifilma.documents.papers.layout import Layout, Unprintable
from sifilma.kernel import deadline
from sifilma.kernel.errors import Unavailable

ROWS = 1_000
"""Rows of a part: 180 MB of the process that lays it out."""
SECONDS, KEPT = 120.0, 1.0
"""Seconds that a part may take, where it takes one on a quiet machine; seconds of a request's deadline that are kept for its answer."""
UNPRINTABLE = 3
"""The exit code of a child that prints the signs which no font has."""
TAGS = "tags"
PAGES = "{http://ns.adobe.com/xap/1.0/t/pg/}NPages"
"""Where the metadata of a PDF say how many pages it has."""
ROOT = Path(__file__).resolve().parents[3]
START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from sifilma.documents.papers.long_papers import child; sys.exit(child(*sys.argv[2:]))"
)
log = structlog.get_logger()


def laid_out(layout: Layout, stated: Mapping[str, Any]) -> bytes:
    """Return the PDF of a paper whose list is `stated["cards"]`.

    Of several parts each is laid out twice: before, its pages are not counted. Their pages have no tags: those of a part belong to the file
    of the part, and would be nine tenths of the paper. Raise Unprintable for signs that no font has, and Unavailable if a process takes too
    long or ends otherwise, which is logged.
    """
    starts = range(0, len(stated["cards"]), ROWS)
    if len(starts) == 1:
        return _part(layout, 0, stated, tags=True).read_bytes()

    def part(start: int, before: int, pages: int) -> Path:
        told = {"first": start == 0, "last": start == starts[-1], "before": before, "pages": pages}
        return _part(layout, start, {**stated, "cards": stated["cards"][start : start + ROWS], "part": told}, tags=False)

    counts = [_pages(part(start, 0, 0)) for start in starts]
    files = [part(start, sum(counts[:number]), sum(counts)) for number, start in enumerate(starts)]
    out = io.BytesIO()
    with ExitStack() as opened:
        whole, *others = [opened.enter_context(Pdf.open(file)) for file in files]
        for other in others:
            whole.pages.extend(other.pages)
        with whole.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as told:
            told[PAGES] = str(len(whole.pages))
        whole.save(out, deterministic_id=True)
    return out.getvalue()


def _part(layout: Layout, start: int, stated: Mapping[str, Any], *, tags: bool) -> Path:
    file = layout.root / f"part-{start}.pdf"
    # -I, and no environment: as the children that read uploads (`reading.py`).
    command = [sys.executable, "-I", "-c", START, str(ROOT), str(layout.root), layout.template, str(file), TAGS if tags else ""]
    sent, left = json.dumps(stated, ensure_ascii=False).encode(), deadline.remaining()
    patience = SECONDS if left is None else min(SECONDS, max(0.0, left - KEPT))
    try:
        ended = subprocess.run(command, input=sent, capture_output=True, env={}, timeout=patience, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise _not_laid_out(str(fault)) from fault
    if ended.returncode == UNPRINTABLE:
        raise Unprintable(ended.stdout.decode())
    if ended.returncode != 0:
        told = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _not_laid_out(f"exit status {ended.returncode}: {told}")
    return file


def _not_laid_out(reason: str) -> Unavailable:
    log.error("paper_not_laid_out", reason=reason)
    return Unavailable("The paper cannot be made right now.", type="paper-not-made")


def child(root: str, template: str, file: str, tags: str) -> int:
    """Lay out what comes by standard input, write the PDF, and return the exit code."""
    try:
        pdf = Layout(Path(root), template).compiled(json.loads(sys.stdin.buffer.read()), tags=tags == TAGS)
    except Unprintable as unknown:
        sys.stdout.buffer.write(unknown.signs.encode())
        return UNPRINTABLE
    Path(file).write_bytes(pdf)
    return 0


def _pages(file: Path) -> int:
    with Pdf.open(file) as pdf:
        return len(pdf.pages)
