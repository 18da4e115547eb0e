"""Several stored papers as one PDF to be printed. The file is no paper itself, and its metadata say so."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pikepdf import Pdf

SAID = "Berkas cetak gabungan. Bukan dokumen: setiap dokumen berdiri sendiri dan diverifikasi sendiri."


def joined(papers: Sequence[bytes], title: str) -> bytes:
    """Return the pages of these PDFs one after the other, as they are stored. The papers themselves are not changed.

    What ties a paper to its file (its own title, its attachments) stays with that file.
    """
    out = io.BytesIO()
    with Pdf.new() as whole:
        for paper in papers:
            with Pdf.open(io.BytesIO(paper)) as one:
                whole.pages.extend(one.pages)
        whole.docinfo["/Title"], whole.docinfo["/Subject"] = title, SAID
        whole.docinfo["/Creator"] = "SI-FILMA"
        whole.save(out)
    return out.getvalue()
