"""What is kept of forms: how much, for whom, for how long, under which key."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import SecretStr

from sifilma.app.retention import forget_old
from sifilma.kept_forms import service
from sifilma.kept_forms.service import File, Page
from sifilma.kernel.errors import Conflict, TooLarge
from sifilma.resources import resources
from tests.support.world import World

PAGE = Page("/personalisasi/baru", "", "/personalisasi/baru")
WHO = "magetan.kepala"


def stored(world: World) -> int:
    assert not world.settings.file_cache.exists()  # what is deleted after a week lies nowhere else
    return int(world.sql("SELECT COUNT(*) FROM stored_file")[0][0])


def kept_file(world: World, data: bytes, name: str = "surat.pdf") -> None:
    store = resources(world.app).files
    with world.acting(WHO) as ctx:
        service.add_files(ctx.session, world.settings, store, world.users[WHO], [File(name, data)], ctx.now)


def test_an_account_keeps_so_many_forms_and_files_the_newest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_FORMS", 3)
    monkeypatch.setattr(service, "MOST_FILES", 3)
    monkeypatch.setattr(service, "MOST_BYTES", 100)
    for number in range(5):
        with world.acting(WHO) as ctx:
            service.save_form(ctx, world.settings, PAGE, [("subject", str(number))], None)
        kept_file(world, b"x", f"{number}.pdf")
        world.clock.advance(seconds=1)
    with world.acting(WHO) as ctx:
        found = [service.find_form(ctx, world.settings, one.id) for one in service.forms_at(ctx, PAGE.path)]
        assert [one and one[1] for one in found] == [[("subject", str(number))] for number in (4, 3, 2)]
        with pytest.raises(TooLarge):
            service.save_form(ctx, world.settings, PAGE, [("subject", "x" * service.LARGEST)], None)
    assert stored(world) == 3
    kept_file(world, b"x" * 100, "besar.pdf")
    assert world.sql("SELECT filename FROM kept_file") == [("besar.pdf",)]
    assert stored(world) == 1


def test_what_is_kept_goes_after_a_week_with_its_bytes(world: World) -> None:
    store = resources(world.app).files
    with world.acting(WHO) as ctx:
        service.save_form(ctx, world.settings, PAGE, [("subject", "S")], None)
        service.note_sent(ctx, world.users[WHO], "0" * 64, "/unit")
    kept_file(world, b"x")
    world.clock.advance(days=7)
    with world.context() as ctx:
        assert forget_old(ctx, world.settings, store) == 0
    world.clock.advance(minutes=2)  # the clock may be ahead by one
    with world.context() as ctx:
        assert forget_old(ctx, world.settings, store) == 3
    assert stored(world) == 0
    assert [world.sql(f"SELECT COUNT(*) FROM {table}") for table in ("kept_form", "kept_file", "sent_form")] == [[(0,)]] * 3


def test_what_is_kept_opens_for_its_owner_with_the_present_and_the_previous_key(sqlite_world: World) -> None:
    world, store = sqlite_world, resources(sqlite_world.app).files
    with world.acting(WHO) as ctx:
        form_id, revision = service.save_form(ctx, world.settings, PAGE, [("subject", "S")], None)
    kept_file(world, b"isi")
    with world.acting(WHO) as ctx:
        [key] = [one.id for one in service.list_files(ctx, [])] or [
            service.add_files(ctx.session, world.settings, store, world.users[WHO], [File("b.pdf", b"isi")], ctx.now)[0].id
        ]
    for user, there in ((WHO, True), ("magetan.staf", False), ("operator1", False)):
        with world.acting(user) as ctx:
            assert (service.find_form(ctx, world.settings, form_id) is not None) is there
            assert ([one.data for one in service.open_files(ctx, world.settings, store, [key])] == [b"isi"]) is there
            assert len(service.forms_at(ctx, PAGE.path)) == int(there)
    for changes, there in (({"secret_key_previous": world.settings.secret_key}, True), ({"secret_key_previous": None}, False)):
        world.configure(secret_key=SecretStr("u" * 40), **changes)
        with world.acting(WHO) as ctx:
            assert (service.find_form(ctx, world.settings, form_id) is not None) is there
            assert bool(service.open_files(ctx, world.settings, store, [key])) is there
    with world.acting(WHO) as ctx, pytest.raises(Conflict, match="another tab"):
        service.save_form(ctx, world.settings, PAGE, [("subject", "T")], (form_id, revision + 1))


def test_a_form_is_not_shown_after_its_week_though_the_worker_is_away(sqlite_world: World) -> None:
    world = sqlite_world
    with world.acting(WHO) as ctx:
        form_id, _ = service.save_form(ctx, world.settings, PAGE, [("subject", "S")], None)
    world.clock.advance(seconds=timedelta(days=7, seconds=1).total_seconds())
    with world.acting(WHO) as ctx:
        assert service.find_form(ctx, world.settings, form_id) is None
        assert not service.forms_at(ctx, PAGE.path)
