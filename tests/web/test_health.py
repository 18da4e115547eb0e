"""Health and metrics: an unavailable disk is reported, and the whole time of requests is measured."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from sifilma.web import metrics
from tests.support.visitor import Visitor
from tests.support.world import World, done


def test_an_unavailable_file_store_is_reported_without_an_exception(sqlite_world: World, tmp_path: Path) -> None:
    sqlite_world.configure(home=tmp_path / "unmounted")
    told = done(sqlite_world.app.test_client().get("/readyz"), 503)
    assert told["status"] == "not ready"
    assert told["checks"]["disk"] == {"ok": False, "error": "FileNotFoundError"}
    visitor = Visitor(sqlite_world)
    assert visitor.get("/status").status_code == 200
    assert "Penuh atau tidak dapat dijangkau." in visitor.seen


def test_the_measured_time_of_a_request_includes_authentication(house: World) -> None:
    def seconds() -> float:
        return metrics.REGISTRY.get_sample_value("sifilma_request_seconds_sum", {"route": "/kartu"}) or 0.0

    visitor, before = Visitor(house), seconds()
    assert visitor.get("/kartu").location == "/masuk"
    assert seconds() > before


def test_metrics_are_told_to_whoever_brings_the_token_in_any_spelling_of_the_scheme(sqlite_world: World) -> None:
    sqlite_world.configure(metrics_token=SecretStr("m" * 20))
    client = sqlite_world.app.test_client()

    def status(authorization: str) -> int:
        return client.get("/metrics", headers={"Authorization": authorization}).status_code

    assert [status(f"{scheme} {'m' * 20}") for scheme in ("Bearer", "bearer")] == [200, 200]
    assert [status(text) for text in ("m" * 20, f"Basic {'m' * 20}", "Bearer", "Bearer x", "")] == [403] * 5


def test_unknown_http_methods_make_no_metric_series_of_their_own(house: World) -> None:
    client = house.app.test_client()
    client.open("/", method="FIRST")
    before = len(next(iter(metrics.REQUESTS.collect())).samples)
    for number in range(5):
        client.open("/", method=f"M{number}")
    assert len(next(iter(metrics.REQUESTS.collect())).samples) == before
