"""The routes of handovers (BAST)."""

from __future__ import annotations

from flask import Response

from sifilma.api.common import IdPath, LabelsQuery, Page, StateQuery, answer, blueprint, file_of, page_of, tells_all
from sifilma.cards.label_serializers import card_labels
from sifilma.documents.responses import attachment
from sifilma.handover import bast, print_runs, service
from sifilma.handover.discrepancies import berita_acara
from sifilma.handover.discrepancies import service as discrepancies
from sifilma.handover.discrepancies.queries import get_discrepancy
from sifilma.handover.discrepancies.schemas import LostIn, MissingIn, ReceiptIn
from sifilma.handover.queries import cards_of
from sifilma.handover.schemas import HandoverBrief, HandoverIn, HandoverOut, PrintIn, PrintListIn
from sifilma.handover.serializers import brief, full
from sifilma.kernel.schemas import NoteIn
from sifilma.own_files import service as own_files
from sifilma.own_files.schemas import OwnFileOut
from sifilma.own_files.serializers import file_out
from sifilma.resources import resources
from sifilma.web import languages
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("handovers")


@api.post("/handovers", responses={201: HandoverOut}, summary="Issue a BAST")
@operation("handover.issue", lists=True)
@tells_all(HandoverIn, lambda known, _: service.faults(context(), known))
def issue(body: HandoverIn) -> Response:
    """For cards the issuer holds, to the next in the chain; of kind `return` back to their maker or the directorate."""
    ctx = context()
    return answer(full(ctx, service.issue(ctx, resources().settings, resources().files, body)), 201)


@api.get("/handovers", responses={200: Page[HandoverBrief]}, summary="Handovers")
@operation("handover.view")
def list_handovers(query: StateQuery) -> Response:
    """Newest first."""
    select, key = service.list_handovers(context(), query.state)
    return page_of(select, key, query, lambda rows: map(brief, rows))


@api.get("/handovers/<uuid:id>", responses={200: HandoverOut}, summary="A handover")
@operation("handover.view")
def show(path: IdPath) -> Response:
    """With its cards."""
    ctx = context()
    return answer(full(ctx, service.get_handover(ctx, path.id)))


@api.post("/handovers/<uuid:id>/receive", responses={200: HandoverOut}, summary="Receive the cards")
@operation("handover.receive", lists=True)
def receive(path: IdPath, body: ReceiptIn) -> Response:
    """The receiver is their holder from here on. Without lists all of them came; missing ones stay with the issuer."""
    ctx = context()
    return answer(full(ctx, discrepancies.receive(ctx, resources().settings, resources().files, path.id, body)))


@api.post("/handovers/<uuid:id>/found", responses={200: HandoverOut}, summary="Missing cards are found at the issuer")
@operation("handover.issue", lists=True)
def found(path: IdPath, body: MissingIn) -> Response:
    """They are back in their former state."""
    ctx = context()
    return answer(full(ctx, discrepancies.found(ctx, path.id, body)))


@api.post("/handovers/<uuid:id>/send-again", responses={201: HandoverOut}, summary="Hand missing cards over again")
@operation("handover.issue", lists=True)
def send_again(path: IdPath, body: MissingIn) -> Response:
    """Answers with the new BAST, to the same receiver."""
    ctx = context()
    return answer(full(ctx, discrepancies.send_again(ctx, resources().settings, resources().files, path.id, body)), 201)


@api.post("/handovers/<uuid:id>/lost", responses={200: HandoverOut}, summary="Declare missing cards lost")
@operation("handover.issue", lists=True)
def declare_lost(path: IdPath, body: LostIn) -> Response:
    """By the issuer, with the number of the report to the police."""
    ctx = context()
    return answer(full(ctx, discrepancies.declare_lost(ctx, path.id, body)))


@api.post("/handovers/<uuid:id>/arrived", responses={200: HandoverOut}, summary="Missing cards came after all")
@operation("handover.receive", lists=True)
def arrived(path: IdPath, body: MissingIn) -> Response:
    """The receiver is their holder from here on."""
    ctx = context()
    return answer(full(ctx, discrepancies.arrived(ctx, path.id, body)))


@api.get("/handovers/<uuid:id>/discrepancy", responses={200: file_of("application/pdf")}, summary="The paper about a discrepancy")
@operation("handover.view")
def discrepancy_pdf(path: IdPath) -> Response:
    """As it was issued: the supplement to a BAST of which cards were missing or damaged."""
    ctx = context()
    one = get_discrepancy(ctx, service.get_handover(ctx, path.id))
    return attachment(berita_acara.stored(ctx, resources().files, one), "application/pdf", berita_acara.filename(one))


@api.post("/handovers/<uuid:id>/refuse", responses={200: HandoverOut}, summary="Refuse a wrong BAST")
@operation("handover.receive")
def refuse(path: IdPath, body: NoteIn) -> Response:
    """With a note; the cards return to their former state."""
    ctx = context()
    return answer(full(ctx, service.refuse(ctx, path.id, body.note)))


@api.post("/handovers/<uuid:id>/cancel", responses={200: HandoverOut}, summary="Cancel a wrong BAST")
@operation("handover.issue")
def cancel(path: IdPath, body: NoteIn) -> Response:
    """By its issuer, before it is received."""
    ctx = context()
    return answer(full(ctx, service.cancel(ctx, path.id, body.note)))


@api.post("/handovers/print", responses={200: file_of("application/pdf")}, summary="Several BASTs as one PDF to be printed")
@operation("handover.view", idempotent=False)
def print_file(body: PrintIn) -> Response:
    """The papers as issued, one after the other, at most 50. The file is no paper itself: verify each BAST's own document."""
    ctx = context()
    data = bast.print_file(ctx, resources().settings, resources().files, service.chosen_handovers(ctx, body.handovers))
    return attachment(data, "application/pdf", f"cetak-{len(body.handovers)}-BAST.pdf")


@api.post("/handovers/print-all", responses={202: OwnFileOut}, summary="The BASTs of a list to be printed, in volumes, as a file")
@operation("handover.view")
def print_all(body: PrintListIn) -> Response:
    """Written by the worker: the answer says where to look for the file."""
    ctx = context()
    asked = print_runs.asked_for(body.number, body.state, languages.current())
    return answer(file_out(ctx, own_files.ask(ctx, asked)), 202)


@api.get("/handovers/<uuid:id>/document", responses={200: file_of("application/pdf")}, summary="The BAST as a PDF")
@operation("handover.view")
def pdf(path: IdPath) -> Response:
    """As it was issued."""
    ctx = context()
    found = service.get_handover(ctx, path.id)
    data = bast.stored(ctx, resources().settings, resources().files, found)
    return attachment(data, "application/pdf", bast.filename(found))


@api.get("/handovers/<uuid:id>/labels", responses={200: file_of("application/pdf")}, summary="Labels of a BAST's cards as a PDF")
@operation("handover.view")
def labels(path: IdPath, query: LabelsQuery) -> Response:
    """A label for each card, in the order of the BAST."""
    ctx, settings = context(), resources().settings
    return query.sheet(settings, card_labels(ctx, settings, cards_of(ctx, service.get_handover(ctx, path.id))))
