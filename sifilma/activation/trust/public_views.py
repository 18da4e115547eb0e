"""Public files and pages: keyset, keys, certificates, status lists, and the verification page."""

from __future__ import annotations

import hashlib

from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import FileStorage

from manifests.verifier import MAX_FILE
from sifilma.activation.trust import keyset, pages, published, status_list
from sifilma.documents import issued_papers
from sifilma.kernel.db import LARGEST_INTEGER
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.resources import resources
from sifilma.web import metrics
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("activation", __name__, template_folder="../templates")
PIECE = 64 * 1024  # bytes of an upload that are read at once
KEPT, KEPT_WITHOUT_HSM = 60, 10
"""Seconds for which caches may keep a public file, and a status list that could not be renewed."""
CERTIFICATES = ("root", "manifest-sign", "status-sign", "audit-sign", "document-sign")


def _public(data: bytes, media_type: str, seconds: int = KEPT) -> Response:
    """Return a file that any site may fetch and keep for some seconds."""
    response = Response(data, content_type=media_type)
    response.headers["Cache-Control"] = f"public, max-age={seconds}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


@blueprint.get("/.well-known/sam-keyset.jws", endpoint="keyset")
@operation("public")
def keyset_file() -> Response:
    """Return the keyset, signed by the root."""
    return _public(keyset.load(resources().settings).file, "application/jose")


@blueprint.get("/.well-known/jwks.json")
@operation("public")
def jwks() -> Response:
    """Return the same keys as a plain JWKS (RFC 7517)."""
    return _public(jsonify(keyset.load(resources().settings).keyset.jwks()).get_data(), "application/jwk-set+json")


@blueprint.get("/.well-known/sam-<name>.crt")
@operation("public")
def certificate(name: str) -> Response:
    """Return a certificate of the X.509 chain (PEM)."""
    if name not in CERTIFICATES:
        raise NotFound()
    data = published.read(resources().settings, f"{name}.crt")
    if data is None:
        raise NotFound()
    return _public(data, "application/x-pem-file")


@blueprint.get("/status/<int:number>.jws", endpoint="status_list")
@operation("public")
def status_list_file(number: int) -> Response:
    """Return a signed status list, published anew if something in it has changed."""
    if number > LARGEST_INTEGER:
        raise NotFound()
    served = _served(number)
    return _public(served.line.encode(), "application/jose", seconds=KEPT_WITHOUT_HSM if served.hindered else KEPT)


def _served(number: int) -> status_list.Served:
    served = status_list.serve(context(), resources().settings, resources().hsm, number)
    if served.hindered:
        metrics.STALE_LISTS.labels(served.hindered).inc()
    return served


def _seconds() -> int:
    return int(context().now.timestamp())


@blueprint.get("/verifikasi")
@operation("public", framed=True)
def verification_page() -> Response:
    """Show the verification page. The QR code of a BAST or Berita Acara leads here too."""
    return _page(Form(), paper=issued_papers.look_up(context().session, request.args))


@blueprint.post("/verifikasi")
@operation("public", reads_first=True, idempotent=False, framed=True)
def verification_form() -> Response:
    """Say what an uploaded file is: a manifest, a paper of ours, or unknown. The file is not stored."""
    file, form = request.files.get("file"), Form.sent()
    data, sha256 = _read(file) if file else (b"", "")
    if not data:
        form.refuse(Invalid.field("file", "Choose a manifest, a BAST or a Berita Acara."))
        return _page(form)
    trusted = keyset.load(resources().settings)
    trust = pages.Trust(trusted.pin, trusted.file, lambda number: _served(number).line.encode(), _seconds)
    found = pages.answer_about(context().session, data, sha256, trust)
    return _page(form, paper=found.paper, found=None if found.paper else found)


def _read(file: FileStorage) -> tuple[bytes, str]:
    """Return the first bytes of a file, as many as a manifest may have and one more, and the SHA-256 (hex) of all of it."""
    head = file.read(MAX_FILE + 1)
    digest = hashlib.sha256(head)
    while piece := file.read(PIECE):
        digest.update(piece)
    return head, digest.hexdigest()


def _page(form: Form, **values: object) -> Response:
    values = {"paper": None, "found": None, "pin": keyset.load(resources().settings).pin} | values
    return form.again("activation/verifikasi.html", **values)
