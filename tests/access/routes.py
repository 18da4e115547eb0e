"""The routes of the application's URL map, and how each is called."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from werkzeug.routing import Rule

from sifilma.demo.sample_files import photo
from sifilma.web.operations import policy_of
from tests.access.objects import OwnedObject
from tests.support.world import World, new_uid

FILES = ("static", "web.static")
PHOTO = photo(8, 8)[1]
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})

# The kind of object that a route's first parameter names, by the beginning of its path. For a page about a new kind of object, add its
# beginning here, and the kind's select to `objects.SELECTS` with its reading operation to `SEEN_BY`.
STEMS: dict[str, str] = {
    "/akses/tinjauan/": "access_review",
    "/api/v1/access-reviews/": "access_review",
    "/api/v1/account-consents/": "orphaned_consent",
    "/api/v1/activation-requests/": "activation_request",
    "/api/v1/activations/": "activation",
    "/api/v1/api-keys/": "api_key",
    "/api/v1/audit/": "leaf",
    "/api/v1/blank-deliveries/": "blank_delivery",
    "/api/v1/cards/": "card",
    "/api/v1/card-reports/": "card_report",
    "/api/v1/central-users/": "central_user",
    "/api/v1/destructions/": "destruction",
    "/api/v1/handovers/": "handover",
    "/api/v1/head-successions/": "head_succession",
    "/api/v1/jobs/": "job",
    "/api/v1/manifests/": "manifest",
    "/api/v1/me/consents/": "consent",
    "/api/v1/me/lost-factor-reports/": "own_report",
    "/api/v1/model-cases/": "model_case",
    "/api/v1/outlets/": "outlet",
    "/api/v1/personalisation-requests/": "personalisation_request",
    "/api/v1/place-suspensions/": "place_suspension",
    "/api/v1/reference-changes/": "reference_change",
    "/api/v1/sessions/": "session",
    "/api/v1/unit-key-changes/": "unit_key_change",
    "/api/v1/units/": "unit",
    "/api/v1/user-changes/": "user_change",
    "/api/v1/users/": "user",
    "/aktivasi/": "activation_request",
    "/aktivasi/berkas/": "job",
    "/aktivasi/riwayat/": "activation",
    "/api/v1/files/": "own_file",
    "/bast/": "handover",
    "/berkas/": "own_file",
    "/gerai/": "outlet",
    "/gerai/pengguna/": "user",
    "/gerai/unit/": "unit",
    "/isian/": "kept_form",
    "/jejak/": "audit_entry",
    "/kartu/": "card",
    "/kartu/laporan/": "card_report",
    "/kunci-api/": "api_key",
    "/manifest/": "manifest",
    "/model/": "device_model",
    "/model/permohonan/": "model_case",
    "/organisasi/": "organisation",
    "/organisasi/usulan/": "reference_change",
    "/pekerjaan/": "job",
    "/pembekuan/": "place_suspension",
    "/pemberitahuan/": "notice",
    "/pemulihan/": "open_question",
    "/pemusnahan/": "destruction",
    "/pengguna/": "user",
    "/pengguna/usulan/": "user_change",
    "/pengguna/usulan/orang/": "orphaned_consent",
    "/pergantian/": "head_succession",
    "/pesan/": "message",
    "/personalisasi/": "personalisation_request",
    "/personalisasi/pembeli/": "buyer",
    "/profil/kunci-sandi/": "passkey",
    "/profil/permintaan/": "consent",
    "/profil/permintaan/keberatan/": "own_report",
    "/sam-kosong/": "blank_delivery",
    "/sesi/": "session",
    "/tinjauan/": "doubtful_place",
    "/unit/": "unit",
    "/unit/koreksi/": "unit_correction",
    "/unit/kunci/": "unit_key_change",
}
# Beginnings of paths whose parameter names no owned object, with a value that exists.
FIXED: dict[str, str] = {
    "/aktivasi/berkas/templat.": "csv",
    "/organisasi/berkas/": "pks",
    "/sam-kosong/templat.": "csv",
    "/unit/kunci/templat.": "csv",
    "/peta/dasar/": "negara",
    "/unit/templat.": "csv",
}
# Further parameters that name no part of the object, with a value that exists.
MORE: dict[str, str] = {
    "kind": "csv",
    "extension": "csv",
    "name": "surat",
    "number": "1",
    "agreement_id": str(uuid4()),
    "document_id": str(uuid4()),
    "attachment_id": str(uuid4()),
}
SEEN_BY: dict[str, str] = {
    "access_review": "access.see",
    "activation": "manifest.view",
    "activation_request": "activation_request.view",
    "api_key": "api_keys",
    "audit_entry": "audit.read",
    "doubtful_place": "place.see",
    "invited_head": "users.see",
    "leaf": "audit.read",
    "blank_delivery": "blank.see",
    "card": "card.view",
    "consent": "session.self",
    "orphaned_consent": "users.central",
    "own_report": "session.self",
    "card_report": "card.view",
    "central_user": "users.central",
    "destruction": "destruction.view",
    "handover": "handover.view",
    "head_succession": "users.see",
    "lost_factor": "users.factor",
    "job": "job.see",
    "manifest": "manifest.view",
    "message": "messages.see",
    "device_model": "model.view",
    "model_case": "model.case.view",
    "institution": "reference.read",
    "maker": "reference.read",
    "organisation": "reference.read",
    "reference_change": "reference.proposals.view",
    "buyer": "personalisation.draft",
    "kept_form": "session.self",
    "outlet": "outlet.see",
    "passkey": "session.self",
    "notice": "session.self",
    "own_file": "session.self",
    "own_letter": "conversation.read",
    "personalisation_request": "personalisation.view",
    "open_question": "restore.see",
    "place_suspension": "place.suspension.see",
    "session": "session.self",
    "unit": "unit.read",
    "unit_correction": "unit.read",
    "unit_key_change": "unit.read",
    "user": "users.see",
    "user_change": "users.central",
}
# Lists of the API: the kind of their items and the operation that reads them.
LISTS: dict[str, tuple[str, str]] = {
    stem.rstrip("/"): (kind, SEEN_BY[kind])
    for stem, kind in STEMS.items()
    if stem.startswith("/api/")
    and kind not in ("leaf", "session", "user", "central_user", "user_change", "consent", "own_report", "orphaned_consent", "own_file")
} | {"/api/v1/users": ("user", "users.see"), "/api/v1/audit": ("audit_entry", "audit.read")}
# Well-formed bodies: the view must accept them and then look for its object. They change nothing where no object is found.
NOTE = {"note": "catatan uji"}
_LETTER = {"letter_number": "470/1/Dukcapil", "letter_date": "2026-11-01", "subject": "Permohonan"}
_PERSON = {"name": "Satria Contoh", "id_kind": "employee", "position": "Auditor"}
_RECORD = {
    "place": "Kantor",
    "executed_at": "2026-11-23T00:00:00Z",
    "method": "dipotong",
    "official": _PERSON | {"id_number": "A-1"},
    "witnesses": [_PERSON | {"id_number": "A-2", "office": "Inspektorat"}, _PERSON | {"id_number": "A-3", "office": "Inspektorat"}],
}
_CERTIFICATE = {"number": "1/TKDN", "issuer": "P3DN", "issued_on": "2026-11-10", "valid_until": "2029-11-09", "tkdn": "40"}
_AGREEMENT = {"institution": "BANK MANDIRI", "number": "1/PKS", "valid_from": "2026-11-10", "valid_until": "2029-11-09"}
_CARDS = {"cards": ["30154B0100000001"]}
BODIES: dict[str, dict[str, Any]] = {
    "decisions": {"decisions": [{"line": str(UUID(int=0)), "outcome": "confirmed", "roles": ["staff"]}]},
    "deputy": {"role": "approver", "until": "2026-11-30", "basis": "cuti"},
    "approve": {"digest": "0" * 64},
    "certify": {"digest": "0" * 64},
    "answer": {"decision": "refuse"},
    **dict.fromkeys(("found", "send-again", "arrived"), _CARDS),
    "lost": _CARDS | {"police_report": "LP/B/1/XI/2026"},
    "changes": {"change": "disable"},
    "decision": {"decision": "reject"},
    "place_suspension decision": {"decision": "drop", "note": "sesuai surat"},
    "close": {"reason": "pesanan dikurangi"},
    "download": {"form": "jws"},
    "pcid": {"pcid": "0" * 32},
    "move": {"outlet": None},
    "outlet <uuid:id>": {"name": "KC", "address": "Jalan Raya 1", "latitude": -7.6536, "longitude": 111.328},
    "outlets": {"outlets": []},
    "reopen": {"reason": "kembali"},
    "lost-factor": {"reason": "ponsel hilang"},
    "lost-factor-decision": {"decision": "reject"},
    "reports": {"condition": "damaged", "note": "patah"},
    "results": {"results": [{"sam_uid": "30154B0100000001", "outcome": "personalised"}]},
    "review": {"decision": "accepted", "note": "sesuai"},
    "take-up": {"digest": "0" * 64},
    "terms": {"scopes": ["read"]},
    "revoke": {"reason": "salah tempat"},
    **{verb: {"reason": "salah ketik"} for verb in ("correct", "break", "repair", "retire")},
    "usul-cabut": {"reason": "salah tempat"},
}
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "PUT activation_request": ("request", _LETTER | {"machines": 1, "cards": ["30154B0100000001"]}),
    "PUT personalisation_request": ("request", _LETTER | {"function": "R", "quantity": 1}),
    "POST messages": ("message", {"body": "Apa kabar surat kami?"}),
    "POST record": ("record", _RECORD),
    "POST certificate": ("request", _CERTIFICATE),
    "POST agreement": ("request", _AGREEMENT),
}
WITHOUT_BODY = ("tokens", "reissue")


JWK = {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
PAGE_BODIES: dict[str, dict[str, Any]] = {
    "ambil": {"digest": "0" * 64},
    **dict.fromkeys(("ditemukan", "kirim_ulang", "tiba"), _CARDS),
    "hilang": BODIES["lost"],
    "kunci": {"public_jwk": json.dumps(JWK)},
    "percakapan": {"body": "Apa kabar surat kami?"},
    "laksanakan": {"digest": "0" * 64},
    "faktor-hilang": {"reason": "hilang", "decision": "reject"},
    **{verb: {"reason": "salah ketik"} for verb in ("rusak", "perbaiki", "afkir", "koreksi")},
    "jawab": BODIES["answer"],
    "lapor": BODIES["reports"],
    "pcid": BODIES["pcid"],
    "ubah": _LETTER | {"function": "R", "quantity": "1"},
}
# Routes that answer an allowed call with a nonsense body by 403 or 404, and why.
ALSO: dict[str, set[int]] = {
    "POST /aktivasi/kartu/berikutnya": {404},  # no activation is named
    "POST /masuk/ulang": {403},  # the code is missing
    "GET /pemusnahan/<uuid:destruction_id>/foto/<int:number>": {404},  # no photo before it is recorded
    "GET /kartu/<string:uid>/foto/<int:number>": {404},  # no photo came with the report
    "GET /organisasi/<uuid:organisation_id>/pks/<uuid:agreement_id>": {404},  # no such agreement
    "GET /organisasi/usulan/<uuid:change_id>/dokumen": {404},  # no PDF came with it
    "GET /api/v1/reference-changes/<uuid:id>/document": {404},
    "GET /bast/<uuid:handover_id>/selisih/dokumen": {404},  # nothing differed
    "GET /api/v1/handovers/<uuid:id>/discrepancy": {404},
    **{  # no message has an attachment
        f"GET {path}": {404}
        for path in (
            *(
                f"/{page}/<uuid:object_id>/percakapan/lampiran/<uuid:document_id>"
                for page in ("personalisasi", "aktivasi", "bast", "pemusnahan")
            ),
            *(
                f"/api/v1/{one}/<uuid:id>/messages/attachments/<uuid:attachment_id>"
                for one in ("personalisation-requests", "activation-requests", "handovers", "destructions")
            ),
        )
    },
    "GET /log/checkpoint": {404},  # nothing is signed yet
    "GET /log/consistency": {404, 422},
    "GET /pemusnahan/<uuid:destruction_id>/rekam": {404},  # the form is for its holder, once it is approved
    "POST /pengguna/usulan/orang/<uuid:consent_id>": {404},  # proposed over the API already
    "POST /personalisasi/baru": {
        403,
        404,
    },  # a maker's form without its buyer; an office's letter is drafted by a person
    "POST /personalisasi/<uuid:request_id>/ubah": {403, 404},
    "POST /kartu/<string:uid>/usul-cabut": {404},  # the card has no valid manifest
    "POST /manifest/<uuid:manifest_id>/putusan": {403},  # a decision is an approver's, and needs a fresh code
}
# Problem types that tell a party of a document (BAST, letter, Berita Acara) that the act belongs to the other party.
PARTIES = ("not-receiver", "not-issuer", "not-requester", "not-holder", "not-proposer", "four-eyes")
# A buyer takes no part in the conversation of its maker's request.
TALKS = {
    "/personalisasi/<uuid:object_id>/percakapan": ("", "/lampiran/<uuid:document_id>"),
    "/api/v1/personalisation-requests/<uuid:id>/messages": ("", "/attachments/<uuid:attachment_id>"),
}
# Routes about a narrower kind than the beginning of their path says.
NARROWER: dict[str, str] = {
    "/organisasi/<uuid:organisation_id>/model": "maker",
    "/organisasi/<uuid:organisation_id>/pks": "institution",
    "/organisasi/<uuid:organisation_id>/pks/<uuid:agreement_id>": "institution",
    "/api/v1/user-changes/<uuid:id>/lost-factor-decision": "lost_factor",
    "/api/v1/personalisation-requests/<uuid:id>/close": "own_letter",
    "/personalisasi/<uuid:request_id>/tutup": "own_letter",
    "/pengguna/usulan/<uuid:change_id>/faktor-hilang": "lost_factor",
    "/pengguna/<uuid:user_id>/pusat/undang-ulang": "invited_head",
    "/pengguna/<uuid:user_id>/pusat/usulan": "central_user",
    **{f"{path}{end}": "own_letter" for path, ends in TALKS.items() for end in ends},
    "/pengguna/<uuid:user_id>/pusat/peran-sementara": "central_user",
}


@dataclass(frozen=True)
class Route:
    """One method of one URL rule, and the operation that its view names."""

    method: str
    rule: Rule
    operation: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.rule.rule}"

    @property
    def unsafe(self) -> bool:
        """Whether the method may change something."""
        return self.method in UNSAFE

    @property
    def is_api(self) -> bool:
        """Whether the route belongs to the API."""
        return self.rule.rule.startswith("/api/")

    @property
    def stem(self) -> str:
        """The path before its first parameter."""
        return self.rule.rule.partition("<")[0]

    @property
    def kind(self) -> str | None:
        """The kind of object the route is about; None if unknown."""
        return NARROWER.get(self.rule.rule) or STEMS.get(self.stem)

    @property
    def about_an_object(self) -> bool:
        """Whether its parameter names an owned object."""
        return "<" in self.rule.rule and self.stem not in FIXED

    def url(self, item: OwnedObject) -> str:
        """Return the path with the object's key; further parameters name a part of the object."""
        path = re.sub(r"<[^>]+>", FIXED.get(self.stem, item.key), self.rule.rule, count=1)
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: MORE.get(found[1], item.part), path)

    def body(self) -> dict[str, Any]:
        """Return the request options of a well-formed body, with which the view looks for its object."""
        last = self.rule.rule.rpartition("/")[2]
        form = FORMS.get(f"{self.method} {self.kind if '<' in last else last}") if self.is_api else None
        if form:
            return _multipart(*form)
        if self.method == "DELETE" or last in WITHOUT_BODY:
            return {}
        return {"json": BODIES.get(f"{self.kind} {last}", BODIES.get(last, NOTE))} if self.is_api else {"data": PAGE_BODIES.get(last, NOTE)}

    def nonsense(self) -> dict[str, Any]:
        """Return the request options of a body that no view accepts, so that a permitted call changes nothing."""
        return {"json": {"?": "?"}} if self.is_api else {"data": {"?": "?"}}


def _multipart(part: str, body: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {part: json.dumps(body)}
    if part == "record":
        data["photos"] = [(io.BytesIO(PHOTO), "foto.png")]
    return {"data": data, "content_type": "multipart/form-data"}


def routes(world: World) -> list[Route]:
    """Return every route except those of static files."""
    return [
        Route(method, rule, found.operation if (found := policy_of(world.app.view_functions[rule.endpoint])) else None)
        for rule in sorted(world.app.url_map.iter_rules(), key=lambda rule: rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if rule.endpoint not in FILES
    ]


def absent(kind: str) -> OwnedObject:
    """Return an object whose key does not exist."""
    keys = {"card": new_uid(), "leaf": "999999999"}
    return OwnedObject(kind, keys.get(kind, str(uuid4())), "absent", "", frozenset(), part=new_uid())


def missing_recipes(found: list[Route]) -> Iterator[str]:
    """Yield a sentence for every route about an object for which STEMS has no kind."""
    for route in found:
        if route.about_an_object and route.operation != "public" and route.kind is None:
            yield f"{route}: no recipe for its parameters; add {route.stem!r} and the kind of its object to STEMS in tests/access/routes.py"
