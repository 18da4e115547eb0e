"""The pages for everybody, and the help of whoever is signed in."""

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
from sifilma.web.operations import operation

SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
KEEP = 86_400  # seconds a browser keeps a picture
blueprint = Blueprint("public_pages", __name__, template_folder="templates")


@blueprint.get("/beranda")
@operation("public")
def home() -> str:
    """What SI-FILMA is and for whom."""
    return render_template("public/home.html")


@blueprint.get("/tentang")
@operation("public")
def about() -> str:
    """Why it is there, and what it promises."""
    return render_template("public/about.html")


@blueprint.get("/alur")
@operation("public")
def flow() -> str:
    """The two ways of a card, as diagrams."""
    return render_template("public/flow.html", flows=FLOWS, lanes=LANES)


@blueprint.get("/kontak")
@operation("public")
def contact() -> str:
    """How to reach those who run the service, as far as the settings say."""
    return render_template("public/contact.html", settings=resources().settings)


@blueprint.get("/status")
@operation("public")
def status() -> str:
    """How each part of the installation does. Always answered with 200 and soon: the parts' states are what is asked for."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy's own method
    return render_template("public/status.html", parts=parts.seen(app), now=resources().clock.now())


@blueprint.get("/bantuan")
@operation("public")
def help_page() -> str:
    """The three steps, a guide per role, frequent questions."""
    return render_template("public/help.html", guides=GUIDES, questions=QUESTIONS)


@blueprint.get("/bantuan/<role>")
@operation("public")
def guide(role: str) -> str:
    """One role's guide."""
    found = [guide for guide in GUIDES if guide.key == role]
    if not found:
        raise NotFound()
    return render_template("public/guide.html", guides=found, pictures=PICTURES)


@blueprint.get("/bantuan/saya")
@operation("session.self")
def own_help() -> str:
    """The guides of whoever is signed in; those without one of their own are shown all."""
    found = of_columns(column.value for column in columns(g.actor))
    if not found:
        return render_template("public/help.html", guides=GUIDES, questions=QUESTIONS)
    return render_template("public/guide.html", guides=found, pictures=PICTURES, questions=QUESTIONS)


@blueprint.get("/static/bantuan/<name>.png")
@operation("public")
def picture(name: str) -> Response:
    """A picture of a page, made by scripts/screenshots.py."""
    if name not in PICTURES:
        raise NotFound()
    return send_file(SCREENSHOTS / f"{name}-id.png", max_age=KEEP)
