"""Assets from npm packages: only listed files are served, and their URLs contain their digest."""

from __future__ import annotations

import hashlib
import re

import pytest

from sifilma.web.assets import FILES, NODE_MODULES, icon
from tests.support.visitor import Visitor
from tests.support.world import World


@pytest.mark.parametrize("name", FILES)
def test_a_listed_file_is_served_unchanged_and_cached_by_browsers(house: World, name: str) -> None:
    response = Visitor(house).get(f"/static/npm/{name}")
    assert response.status_code == 200
    assert response.get_data() == (NODE_MODULES / FILES[name]).read_bytes()
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    kinds = {"css": "text/css", "js": "text/javascript", "woff2": "font/woff2"}
    assert response.mimetype == kinds[name.rpartition(".")[2]]


@pytest.mark.parametrize(
    "path",
    [
        "axe.min.js",
        "../bootstrap/package.json",
        "..%2fbootstrap%2fpackage.json",
        "bootstrap/dist/css/bootstrap.min.css",
        "",
        "bootstrap.css/",
        "%2e%2e/%2e%2e/app.py",
        "....//app.py",
    ],
)
def test_a_file_outside_the_list_is_not_served(house: World, path: str) -> None:
    assert Visitor(house).get(f"/static/npm/{path}").status_code == 404


def test_a_url_with_a_nul_is_refused_first(house: World) -> None:
    assert Visitor(house).get("/static/npm/bootstrap.css%00").status_code == 422


def test_every_asset_of_a_page_exists_and_is_named_by_its_digest(house: World) -> None:
    visitor = Visitor(house)
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', visitor.get("/masuk").get_data(as_text=True))
    assert len(found) >= 5
    for address in found:
        response = visitor.get(address)
        assert response.status_code == 200, address
        assert address.partition("?v=")[2] == hashlib.sha256(response.get_data()).hexdigest()[:12], address


def test_an_icon_is_hidden_from_screen_readers_and_must_have_a_known_name() -> None:
    assert 'aria-hidden="true"' in icon("truck")
    for name in ("../x", "Truck", "a b", ""):
        with pytest.raises(ValueError, match="no icon"):
            icon(name)
