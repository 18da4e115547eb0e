"""Papers from before papers were stored: the upgrade keeps what they state, and the worker stores them byte by byte as they were."""

from __future__ import annotations

import hashlib
import io
from typing import Any
from uuid import UUID

from sqlalchemy import text

from sifilma.approvals.four_eyes import content_digest
from sifilma.demo.sample_files import photo
from sifilma.destruction import tasks as destructions
from sifilma.documents import file_import
from sifilma.fsck.run import examine
from sifilma.handover import tasks as handovers
from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.resources import resources
from sifilma.schema import migrate
from sifilma.web.command import command_context
from tests.destruction.test_service import approved, locked, record
from tests.fsck.conftest import installation
from tests.schema.earlier import files_to_folder
from tests.schema.second import back_to_0024
from tests.support.visitor import Visitor, words
from tests.support.world import World, done


def first_digest(world: World, bast: str) -> str:
    """Return the digest as it was made before BASTs named place, signatories and machines."""
    shown = done(world.client("operator1").get(f"/handovers/{bast}"))
    kcv = dict(world.sql("SELECT uid, kcv FROM card"))
    [(issued_at,)] = world.sql("SELECT CAST(issued_at AS VARCHAR(19)) FROM handover")
    moment = world.start.fromisoformat(f"{issued_at}+00:00")
    return content_digest({
        "number": shown["number"], "issuer": shown["issuer"]["id"], "receiver": shown["receiver"]["id"],
        "issued_at": int(moment.timestamp()), "cards": [[uid, "RW", kcv[uid]] for uid in shown["cards"]], "notes": "",
    })  # fmt: skip


def store(world: World) -> int:
    with world.app.app_context():
        held = resources()
        return sum(one.store_papers(command_context, held.settings, held.files) for one in (handovers, destructions))


def test_papers_of_before_are_stored_with_the_bytes_they_had(world: World) -> None:
    broken = locked(world)
    made, office = approved(world, broken), world.client("magetan.kepala")
    done(office.send(f"/destructions/{made}/record", record(world), part="record", photos=[photo()[:2]]))
    bast = str(UUID(str(world.sql("SELECT id FROM handover")[0][0])))
    digest = first_digest(world, bast)
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        files_to_folder(connection, world.settings.files)
        back_to_0024(connection)
        connection.execute(text("UPDATE handover SET digest = :digest"), {"digest": digest})
    migrate.upgrade(world.settings.database_url)
    assert file_import.bring(engine, world.settings.files).missing == []
    engine.dispose()
    assert migrate.check(world.settings.database_url).ok
    files: dict[str, Any] = {
        path: office.get(path).get_data() for path in (f"/handovers/{bast}/document", f"/destructions/{made}/document")
    }
    assert all(file.startswith(b"%PDF-") for file in files.values())
    assert done(office.get(f"/handovers/{bast}"))["paper"] is None
    assert [store(world), store(world)] == [2, 0]
    world.configure(public_url="https://sifilma.elsewhere.go.id")  # what is stored does not change with it
    assert {path: office.get(path).get_data() for path in files} == files
    assert {row[0] for row in world.sql("SELECT template FROM issued_paper")} == {"bast/1", "berita_acara_pemusnahan/1"}
    for file in files.values():
        assert hashlib.sha256(file).hexdigest() in {row[0] for row in world.sql("SELECT sha256 FROM document WHERE kind = 'paper'")}
        assert "ASLI." in words(Visitor(world).send("/verifikasi", file=(io.BytesIO(file), "berkas.pdf")))
    names = ["handover-digest", "document-file", "document-uploader", "paper-stored", "paper-states", "paper-recorded", "record-complete"]
    assert [str(finding) for finding in examine(installation(world), names).findings] == []
    later = done(
        world.client("operator1").post("/handovers", {"to": str(world.organisation_of("magetan.kepala")), "cards": world.personalised()}),
        201,
    )
    assert (later["number"], later["paper"]["template"]) == ("400.8/0002/BAST-SAM/XI/2026", "bast/4")
