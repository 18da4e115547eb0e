from __future__ import annotations

from collections.abc import Callable

import pytest

from manifests.payload import Manifest
from manifests.verifier import Expectations, Verdict, verify
from tests.support.world import Client, World, done


@pytest.fixture
def fetch() -> Callable[[Client, str], bytes]:
    """Return a function that downloads a manifest's file as its holder."""

    def _fetch(client: Client, manifest_id: str) -> bytes:
        response = client.post(f"/manifests/{manifest_id}/download")
        done(response)
        return response.get_data()

    return _fetch


def check(world: World, data: bytes, *, behind: int = 0, **more: object) -> Verdict:
    """Verify a manifest as the maker of a reader does, with only the pinned root and public files. Its clock is `behind` seconds late."""
    client = world.app.test_client(use_cookies=False)
    status = client.get("/status/1.jws").get_data()
    at = int(world.clock.now().timestamp()) - behind
    return verify(data, Expectations(world.trust.pin, world.trust.file, at, status, **more))  # type: ignore[arg-type]  # uid, min_seq


def verified(world: World, data: bytes) -> Manifest:
    """Return the payload of a manifest that must be valid now."""
    verdict = check(world, data)
    assert verdict.valid, verdict
    assert verdict.manifest is not None
    return verdict.manifest
