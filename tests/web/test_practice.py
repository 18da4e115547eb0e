"""An installation for practice says what it is wherever it is seen, and a real one says nothing of practice."""

from __future__ import annotations

import pytest

from config.settings import Settings
from tests.support.visitor import Visitor
from tests.support.world import World, done


@pytest.mark.parametrize(("env", "line"), [("training", "LATIHAN — bukan sistem resmi"), ("demo", "DEMO — bukan sistem resmi")])
def test_every_page_of_practice_says_so(house: World, env: str, line: str) -> None:
    before = house.settings
    try:
        house.configure(env=env)
        for path, status in (("/masuk", 200), ("/beranda", 200), ("/verifikasi", 200), ("/no-such-page", 404), ("/api/v1/docs", 200)):
            page = house.app.test_client().get(path, headers={"Accept": "text/html"})
            assert page.status_code == status, path
            assert line in page.get_data(as_text=True), path
        visitor = Visitor(house, "operator1")
        visitor.get("/kartu")
        assert line in visitor.seen
        assert done(house.app.test_client().get("/readyz"))["env"] == env
    finally:
        house.configure(**before.model_dump(include={"env"}))


def test_a_page_of_a_real_installation_says_nothing_of_practice(house: World) -> None:
    before = house.settings
    try:
        house.configure(env="production")
        page = house.app.test_client().get("/masuk").get_data(as_text=True)
        assert "bukan sistem resmi" not in page
        assert "practice" not in page
    finally:
        house.configure(**before.model_dump(include={"env"}))


def test_programs_are_told_by_a_header_which_a_real_installation_does_not_send(house: World) -> None:
    assert house.app.test_client().get("/api/v1/cards").headers["X-SIFILMA-Env"] == "test"
    assert Settings.model_validate({"env": "production"}).mark == ""
