"""Public files and pages: keyset, keys, certificates, status lists, and the verification page."""

from __future__ import annotations

import re

from flask import Blueprint, Response, jsonify, render_template, request
from flask_babel import lazy_gettext as _

from manifests.verifier import Expectations, Reason, verify
from sifilma.activation.trust import keyset, status_list
from sifilma.documents import issued_papers
from sifilma.kernel.db import LARGEST_INTEGER
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.resources import resources
from sifilma.web import metrics
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("activation", __name__, template_folder="../templates")
MAX_FILE = 16 * 1024
KEPT, KEPT_WITHOUT_HSM = 60, 10
"""Seconds for which caches may keep a public file, and a status list that could not be renewed."""
CERTIFICATES = ("root", "manifest-sign", "status-sign", "audit-sign", "document-sign")
REASONS = {
    Reason.EXPIRED: _("Its validity has ended."),
    Reason.NOT_YET: _("It is not valid yet: its validity begins more than five minutes from now."),
    Reason.REVOKED: _("The manifest was revoked or replaced."),
    Reason.SUSPENDED: _("The manifest is suspended."),
    Reason.SIGNATURE: _("Its signature does not fit: the file was changed."),
    Reason.UNKNOWN_KEY: _("It was not signed by SI-FILMA."),
    Reason.STATUS_UNUSABLE: _("Its status cannot be looked up right now. Try again."),
}
OTHER = _("This file is no valid SI-FILMA manifest.")


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
    path = resources().settings.trust / f"{name}.crt"
    if not path.exists():
        raise NotFound()
    return _public(path.read_bytes(), "application/x-pem-file")


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
@operation("public")
def verification_page() -> str:
    """Show the verification page. The QR code of a BAST or Berita Acara leads here too."""
    paper = issued_papers.look_up(context().session, request.args)
    return render_template("activation/verifikasi.html", pin=keyset.load(resources().settings).pin, paper=paper, result=None, form=Form())


@blueprint.post("/verifikasi")
@operation("public", reads_first=True, idempotent=False)
def verification_form() -> Response:
    """Verify an uploaded manifest with its status. The file is not stored."""
    file = request.files.get("file")
    data = file.read(MAX_FILE + 1) if file else b""
    published, form = keyset.load(resources().settings), Form.sent()
    if not data:
        form.refuse(Invalid.field("file", "Choose a manifest file."))
        return form.again("activation/verifikasi.html", pin=published.pin, paper=None, result=None)
    # First without a status list: only a manifest that is otherwise valid tells which list to look up.
    verdict = verify(data, Expectations(published.pin, published.file, _seconds()))
    if verdict.valid and verdict.manifest is not None and (found := re.search(r"/status/(\d+)\.jws$", verdict.manifest.status.uri)):
        listed = _served(int(found[1])).line.encode()
        # The time is read again: signing took time. A list that another node dated slightly ahead is within the format's tolerance.
        verdict = verify(data, Expectations(published.pin, published.file, _seconds(), listed))
    text = REASONS.get(verdict.reason, OTHER) if verdict.reason else ""
    return form.again("activation/verifikasi.html", pin=published.pin, paper=None, result=verdict, text=text)
