"""The pages for everybody, and the help for the signed-in user."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, current_app, g, render_template, send_file

from sifilma.identity.permissions import columns
from sifilma.kernel.errors import NotFound
from sifilma.public import status as parts
from sifilma.public.flows import FLOWS, LANES
from sifilma.public.guide import PICTURES
from sifilma.public.guides import GUIDES, of_columns
from sifilma.public.questions import QUESTIONS
from sifilma.resources import resources
from sifilma.sign_in.request_gate import recognise
from sifilma.web.operations import operation

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
KEEP = 86_400  # seconds that a browser keeps a picture
blueprint = Blueprint("public_pages", __name__, template_folder="templates")


@blueprint.get("/beranda")
@operation("public", framed=True)
def home() -> str:
    """Show what SI-FILMA is and for whom."""
    return render_template("public/home.html")


@blueprint.get("/tentang")
@operation("public", framed=True)
def about() -> str:
    """Show why SI-FILMA exists and what it promises."""
    return render_template("public/about.html")


@blueprint.get("/alur")
@operation("public", framed=True)
def flow() -> str:
    """Show the two flows of a card as diagrams."""
    return render_template("public/flow.html", flows=FLOWS, lanes=LANES)


@blueprint.get("/kontak")
@operation("public", framed=True)
def contact() -> str:
    """Show how to reach the service desk, as far as the settings tell."""
    return render_template("public/contact.html", settings=resources().settings)


@blueprint.get("/status")
@operation("public")
def status() -> str:
    """Show the state of each part. Answers with 200 and quickly whatever the states are; `/readyz` is for load balancers."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy's own method
    seen = parts.seen(app)
    if parts.has_database(seen):  # whose frame it is says the database, and nobody waits here for one that hangs
        recognise()
    return render_template("public/status.html", parts=seen, now=resources().clock.now())


@blueprint.get("/bantuan")
@operation("public", framed=True)
def help_page() -> str:
    """Show the three steps, a guide per role, and frequent questions."""
    return render_template("public/help.html", guides=GUIDES, questions=QUESTIONS)


@blueprint.get("/bantuan/<role>")
@operation("public", framed=True)
def guide(role: str) -> str:
    """Show the guide of one role. Raise NotFound for an unknown role."""
    found = [guide for guide in GUIDES if guide.key == role]
    if not found:
        raise NotFound()
    return render_template("public/guide.html", guides=found, pictures=PICTURES)


@blueprint.get("/bantuan/saya")
@operation("session.self")
def own_help() -> str:
    """Show the guides of the signed-in user, or all guides to users without one of their own."""
    found = of_columns(column.value for column in columns(g.actor))
    if not found:
        return render_template("public/help.html", guides=GUIDES, questions=QUESTIONS)
    return render_template("public/guide.html", guides=found, pictures=PICTURES, questions=QUESTIONS)


@blueprint.get("/static/bantuan/<name>.png")
@operation("public")
def picture(name: str) -> Response:
    """Send a picture of a page, made by scripts/screenshots.py. Raise NotFound for an unknown name."""
    if name not in PICTURES:
        raise NotFound()
    return send_file(SCREENSHOTS / f"{name}-id.png", max_age=KEEP)
