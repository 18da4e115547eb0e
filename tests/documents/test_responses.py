"""Downloads, which a browser saves and does not run."""

from __future__ import annotations

import pytest
from flask import Flask

from sifilma.documents.file_views import paper
from sifilma.documents.responses import attachment, inline_pdf


def test_a_download_is_an_attachment_in_a_sandbox() -> None:
    headers = attachment(b"%PDF-", "application/pdf", "surat.pdf").headers
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Disposition"] == "attachment; filename=\"surat.pdf\"; filename*=UTF-8''surat.pdf"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "no-store" in headers["Cache-Control"]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ('a"; filename="b.exe', "attachment; filename=\"a_; filename=_b.exe\"; filename*=UTF-8''a_%3B%20filename%3D_b.exe"),
        ("a\r\nSet-Cookie: x=1", "attachment; filename=\"aSet-Cookie_ x=1\"; filename*=UTF-8''aSet-Cookie_%20x%3D1"),
        ("surat é.pdf", "attachment; filename=\"surat e.pdf\"; filename*=UTF-8''surat%20%C3%A9.pdf"),
        ("文", "attachment; filename=\"berkas\"; filename*=UTF-8''%E6%96%87"),
    ],
)
def test_a_file_name_cannot_break_out_of_its_header(name: str, header: str) -> None:
    assert attachment(b"", "application/pdf", name).headers["Content-Disposition"] == header


def test_a_pdf_in_a_frame_runs_no_script_and_cannot_be_framed_by_other_sites() -> None:
    headers = inline_pdf(b"%PDF-", "surat.pdf").headers
    assert headers["Content-Disposition"] == "inline; filename=\"surat.pdf\"; filename*=UTF-8''surat.pdf"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'; frame-ancestors 'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("address", "media_type", "disposition"),
    [("/", "application/pdf", "inline"), ("/?unduh=1", "application/pdf", "attachment"), ("/", "text/csv", "attachment")],
)
def test_only_a_pdf_without_a_request_to_save_is_shown_inline(address: str, media_type: str, disposition: str) -> None:
    with Flask("paper").test_request_context(address):
        assert paper(b"x", media_type, "berkas").headers["Content-Disposition"].startswith(f"{disposition};")
