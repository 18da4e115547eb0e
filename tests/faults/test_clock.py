"""A clock that is wrong for a while ends nothing, and signs nothing that verifiers refuse when it is right again."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import timedelta
from threading import Thread
from typing import Any
from uuid import UUID

import pyotp
import pytest
from structlog.testing import capture_logs

from manifests.status import verify_status
from manifests.verifier import Expectations, verify
from sifilma.app import worker_commands
from sifilma.app.chores import CHORES
from sifilma.app.factory import create_app
from sifilma.audit import checkpoints
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.commands.serve import begin_server
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.db import db
from sifilma.kernel.timekeeping import stops
from sifilma.kernel.timekeeping.watch import ClockStop, Reason
from sifilma.resources import resources
from tests.support.counting import counted
from tests.support.fsck_findings import fsck_findings
from tests.support.transparency_log import act, sequence
from tests.support.visitor import Visitor
from tests.support.world import START, World, done

HEAD = "magetan.kepala"
STATES = (
    "SELECT state, COUNT(*) FROM manifest GROUP BY state", "SELECT state, COUNT(*) FROM token GROUP BY state",
    "SELECT state, COUNT(*) FROM activation_request GROUP BY state", "SELECT COUNT(*) FROM login_session WHERE ended_at IS NOT NULL",
    "SELECT COUNT(*) FROM idempotency_key", "SELECT COUNT(*) FROM published_status_list", "SELECT COUNT(*) FROM log_checkpoint",
    "SELECT COUNT(*) FROM outbox_message WHERE state = 'lapsed'",
)  # fmt: skip


def states(world: World) -> list[Any]:
    return [sorted(tuple(row) for row in world.sql(query)) for query in STATES]


def worker_round(world: World) -> tuple[dict[str, int], list[str]]:
    with world.app.app_context():
        return worker_commands.run_once()


def has_to_wait(answer: Any) -> None:
    assert (answer.status_code, answer.json["type"]) == (503, "urn:sifilma:problem:clock-not-trusted"), answer.get_data()
    assert int(answer.headers["Retry-After"]) >= 1


def accepted(world: World, *people: str, code: Callable[[str], str] | None = None) -> Any:
    """Run `sifilma clock accept`."""
    codes = "".join((code or world.code)(name) + "\n" for name in people)
    named = [part for name in people for part in ("--username", name)]
    return world.app.test_cli_runner().invoke(args=["clock", "accept", *named], input=codes)


def listed(world: World) -> bytes:
    answer = world.anonymous().open("GET", "/status/1.jws")
    assert answer.status_code == 200, answer.get_data()
    return bytes(answer.get_data())


class Before:
    """An installation with a standing manifest, an open token, an open request, and everything that a worker's round makes of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.head, self.approver = world.client(HEAD), world.client("penyetuju1")
        _, (made,) = world.active(HEAD, "R")
        self.manifest = str(made["manifest"]["id"])
        self.ready = world.ready(HEAD, "R", 3)
        self.asked = world.requested(HEAD, world.received(HEAD, "R"))
        self.list = listed(world)
        done(self.head.post("/units", {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R"}, Idempotency_Key="k"), 201)
        worker_round(world)
        world.clock.advance(seconds=10)
        worker_round(world)
        self.states = states(world)

    def activate(self, number: int = 2) -> Any:
        return self.head.post("/activations", self.world.activation(self.ready, self.ready.uids[number]))

    def require_stopped(self) -> None:
        """Nothing is issued or ended, reading goes on, and it shows."""
        world, head = self.world, self.head
        _, left_out = worker_round(world)
        assert set(left_out) == {name for name, job in CHORES.items() if job.goes_by_the_clock}
        has_to_wait(self.activate())
        has_to_wait(self.approver.post(f"/activation-requests/{self.asked['id']}/approve", {"digest": self.asked["digest"]}))
        has_to_wait(head.post(f"/activation-requests/{self.ready.request}/tokens/{self.ready.uids[0]}/reissue"))
        assert done(head.get("/cards"))["items"]
        assert listed(world) == self.list
        told = done(world.anonymous().open("GET", "/readyz"), 503)
        assert told["checks"]["clock"]["ok"] is False
        metrics = world.anonymous().open("GET", "/metrics").get_data(as_text=True)
        assert "sifilma_clock_trusted 0.0" in metrics
        assert states(world) == self.states

    def require_going_on(self) -> None:
        """Everything that was open can be done, and verifiers refuse nothing of it."""
        world, head = self.world, self.head
        made = done(self.activate(2), 201)["manifest"]["id"]
        approve(world, self.asked)
        for manifest in (self.manifest, made):
            body = head.post(f"/manifests/{manifest}/download").get_data()
            at = int(world.clock.now().timestamp())
            verdict = verify(body, Expectations(world.trust.pin, world.trust.file, at, listed(world)))
            assert verdict.valid, verdict
        world.clock.advance(seconds=50)
        counts, left_out = worker_round(world)
        assert (counts["checkpoints signed"], left_out) == (1, [])
        assert done(world.anonymous().open("GET", "/readyz"))["status"] == "ready"
        assert fsck_findings(world) == []


def approve(world: World, asked: Any) -> None:
    done(world.client("penyetuju1").post(f"/activation-requests/{asked['id']}/approve", {"digest": asked["digest"]}))


def test_a_clock_that_is_wrong_for_a_while_ends_nothing(world: World) -> None:
    """One day back, 20 hours ahead, and three years ahead for a minute."""
    before = Before(world)
    for number, hours in enumerate((-24, 20)):
        world.clock.jump(hours=hours)
        with capture_logs() as logs:
            before.require_stopped()
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["clock_not_trusted"]
        world.clock.jump(hours=-hours)
        done(before.activate(number), 201)  # trusted again by itself
        worker_round(world)
        before.states = states(world)
    for jump, minutes in ((3 * 365 + 40, 0), (0, 1), (-3 * 365 - 40, 0)):
        world.clock.jump(days=jump)
        world.clock.advance(minutes=minutes)
        before.require_stopped()  # also after it: a step this great waits for people
    told = accepted(world, "operator1")
    assert told.exit_code == 0, told.output
    before.require_going_on()


def test_a_list_that_was_first_fetched_while_the_clock_was_ahead_is_signed_when_it_is_right(world: World) -> None:
    world.active()
    worker_round(world)
    world.clock.jump(hours=20)
    assert world.anonymous().open("GET", "/status/1.jws").status_code == 503
    world.clock.jump(hours=-20)
    assert verify_status(listed(world), world.hsm.public_key("status-sign")).iat == int(START.timestamp())


def ahead(world: World, **by: float) -> World:
    """Return the same installation as a process sees it that was started by a wrong clock, when nothing was known of the time yet."""
    other = copy(world)
    other.clock = ManualClock(world.clock.now() + timedelta(**by))
    other.app = create_app(world.settings, clock=other.clock, hsm=world.hsm)
    return other


def test_a_list_and_a_checkpoint_of_the_future_are_replaced(world: World) -> None:
    """A worker that gives signs of life knows the time: signatures of the future were made by a wrong clock."""
    ready, _ = world.active()
    worker_round(world)
    wrong = ahead(world, hours=20)
    first = verify_status(listed(wrong), world.hsm.public_key("status-sign"))
    assert first.iat > world.clock.now().timestamp()
    act(world)
    sequence(wrong)
    wrong.close()
    with world.context() as ctx:
        assert checkpoints.get_newest(ctx.session).at > world.clock.now()
    world.clock.advance(seconds=10)
    worker_round(world)
    second = verify_status(listed(world), world.hsm.public_key("status-sign"))
    assert (second.seq, second.iat) == (first.seq + 1, int(world.clock.now().timestamp()))
    done(world.client(HEAD).post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
    counts, _ = worker_round(world)
    assert counts["checkpoints signed"] == 1
    with world.context() as ctx:
        assert checkpoints.get_newest(ctx.session).at == world.clock.now()
    assert fsck_findings(world) == []


def test_signatures_of_the_future_stop_a_clock_of_which_nothing_else_is_known_until_people_accept_it(world: World) -> None:
    before = Before.__new__(Before)
    before.world, before.head = world, world.client(HEAD)
    before.ready = world.ready(HEAD, "R", 1)
    wrong = ahead(world, hours=20)
    listed(wrong)
    wrong.close()
    world.clock.advance(seconds=10)
    has_to_wait(before.activate(0))
    assert accepted(world, "operator1").exit_code == 0
    world.clock.advance(seconds=1)
    done(before.activate(0), 201)
    world.clock.reboot(minutes=5)
    worker_round(world)
    assert world.sql("SELECT COUNT(*) FROM clock_stop WHERE ended_at IS NULL") == [(0,)]


def test_an_activation_during_which_the_clock_is_set_is_has_to_wait(sqlite_world: World) -> None:
    from sifilma.activation.issuing import service
    from sifilma.activation.schemas import ActivationIn
    from sifilma.kernel.errors import ClockNotTrusted
    from sifilma.regions.sources import place_check

    world = sqlite_world
    ready = world.ready(HEAD, "R")
    with world.acting(HEAD) as ctx:
        places = place_check(world.settings.home)
        ctx.uow.begin_read()
        checked = service.check(ctx, world.hsm, places, ActivationIn(**world.activation(ready, ready.uids[0])))
        world.clock.jump(days=1)
        with pytest.raises(ClockNotTrusted):
            service.sign(ctx, world.settings, world.hsm, [checked])
        world.clock.jump(days=-1)
        signed = service.sign(ctx, world.settings, world.hsm, [checked])
        assert signed[0] is not None
        world.clock.jump(days=1)
        ctx.uow.begin_write()
        with pytest.raises(ClockNotTrusted):
            service.issue(ctx, [(checked, signed[0])])


def test_looking_at_the_time_costs_an_activation_one_statement_in_ten_seconds(postgresql_world: World) -> None:
    world = postgresql_world
    ready = world.ready(HEAD, "R", 3)
    client = world.client(HEAD)
    done(client.post("/activations", world.activation(ready, ready.uids[0])), 201)
    with world.app.app_context():
        engine = db.engine
    costs: list[tuple[int, int]] = []
    for uid in ready.uids[1:]:
        world.clock.advance(seconds=10 if not costs else 1)
        with counted(engine) as found:
            done(client.post("/activations", world.activation(ready, uid)), 201)
        costs.append((len(found.statements), found.commits))
    assert costs == [(9, 1), (8, 1)]


# --- who accepts ---------------------------------------------------------------------------------------------------------


def stopped(world: World) -> World:
    worker_round(world)
    world.clock.reboot(days=3)
    worker_round(world)
    return world


def test_in_production_two_central_persons_accept_the_clock(sqlite_world: World) -> None:
    world = stopped(sqlite_world)
    world.configure(env="production")
    told = world.app.test_cli_runner().invoke(args=["clock", "status"])
    assert told.exit_code == 1
    assert "3.0 days ahead of the last trusted moment" in told.output
    assert "Two different persons" in str(accepted(world, "operator1", "operator1", code=codes(world)).exception)
    world.clock.advance(seconds=90)
    assert "may not accept" in str(accepted(world, "auditor1").exception)
    assert "may not accept" in str(accepted(world, HEAD).exception)
    assert "not right" in str(accepted(world, "operator1", code=lambda _: "000000").exception)
    assert world.sql("SELECT COUNT(*) FROM clock_stop WHERE ended_at IS NULL") == [(1,)]
    told = accepted(world, "operator1", "penyetuju1")
    assert told.exit_code == 0, told.output
    people = {str(row[0]) for row in world.sql("SELECT user_id FROM audit_entry WHERE action = 'clock.accept'")}
    assert {UUID(one) for one in people} == {world.users["operator1"], world.users["penyetuju1"]}
    world.clock.advance(seconds=10)
    assert worker_round(world)[1] == []
    assert world.app.test_cli_runner().invoke(args=["clock", "status"]).exit_code == 0
    assert "nothing to accept" in accepted(world).output
    assert fsck_findings(world) == []


def codes(world: World) -> Callable[[str], str]:
    """The codes of a person, of the step before the present one and of the present one."""
    steps = iter((-30, 0))
    return lambda name: pyotp.TOTP(world.seeds[name]).at(world.clock.now() + timedelta(seconds=next(steps)))


def test_a_stop_by_the_databases_clock_that_is_right_again_can_be_accepted(sqlite_world: World) -> None:
    world = sqlite_world
    with world.context() as ctx:
        ctx.session.add(ClockStop(reason=Reason.DATABASE, seconds=3e8, waits=True, earliest=START, latest=START))
    told = accepted(world, "operator1")
    assert told.exit_code == 0, told.output
    assert world.sql("SELECT COUNT(*) FROM clock_stop WHERE ended_at IS NULL") == [(0,)]


def test_a_wrong_clock_is_not_accepted_by_codes_of_the_right_time(sqlite_world: World) -> None:
    world = sqlite_world
    worker_round(world)
    right = world.code("operator1")
    world.clock.jump(days=3)
    assert "not right" in str(accepted(world, "operator1", code=lambda _: right).exception)


def test_a_demonstration_that_was_off_for_days_accepts_its_clock_and_records_it(sqlite_world: World) -> None:
    from sifilma.app import clock_commands

    world = stopped(sqlite_world)
    with world.app.app_context():
        clock_commands.accept_in_demo(world.settings)
        assert world.sql("SELECT COUNT(*) FROM clock_stop WHERE ended_at IS NULL") == [(1,)]
        clock_commands.accept_in_demo(world.settings.model_copy(update={"env": "demo"}))
    assert world.sql("SELECT user_id FROM audit_entry WHERE action = 'clock.accept'") == [(None,)]
    assert worker_round(world)[1] == []


def test_a_server_process_forked_after_an_accepted_step_does_not_go_by_the_time_of_its_parent(sqlite_world: World) -> None:
    world, places = sqlite_world, list[int]()
    watch = resources(world.app).watch
    world.clock.jump(days=3)
    assert watch.now() == START
    begin_server(world.app, places.append)(1)
    world.hsm.unwatch()
    assert (watch.now(), watch.finding(), watch.started) == (world.clock.now(), None, world.clock.reading())
    assert places == [1]


def test_a_beat_during_which_people_accept_does_not_stop_the_clock_again(postgresql_world: World) -> None:
    world = stopped(postgresql_world)
    beat = Thread(target=worker_round, args=(world,))
    with world.context() as ctx:
        watch = resources(world.app).watch
        found = watch.look(ctx.session)
        assert found is not None
        stops.accept(ctx, watch, found, record(ctx, Action.CLOCK_ACCEPT, "clock", "ahead").id)
        ctx.session.flush()
        beat.start()
        beat.join(0.5)
        assert beat.is_alive()  # it waits, and looks only then
    beat.join(30)
    assert world.sql("SELECT COUNT(*) FROM clock_stop WHERE ended_at IS NULL") == [(0,)]


# --- where it shows ------------------------------------------------------------------------------------------------------


def test_the_death_of_the_worker_shows_within_thirty_seconds(world: World) -> None:
    def ready() -> tuple[int, Any]:
        answer = world.anonymous().open("GET", "/readyz")
        return answer.status_code, answer.json["checks"]["worker"]

    assert ready() == (200, {"ok": True, "age_seconds": None})  # the first sign of life is waited for
    world.clock.advance(seconds=31)
    assert ready() == (503, {"ok": False, "age_seconds": None})
    worker_round(world)
    assert ready() == (200, {"ok": True, "age_seconds": 0.0})
    world.clock.advance(seconds=31)
    assert ready() == (503, {"ok": False, "age_seconds": 31.0})
    assert "sifilma_worker_age_seconds 31.0" in world.anonymous().open("GET", "/metrics").get_data(as_text=True)
    assert "tidak memberi tanda hidup selama 31 detik" in Visitor(world, "operator1").text("/")
    assert "tanda hidup" not in Visitor(world, HEAD).text("/")
    assert "Berhenti: pesan dan berkas menunggu" in Visitor(world).text("/status")
    worker_round(world)
    assert ready()[0] == 200


def test_an_untrusted_clock_shows_on_the_operators_home_and_on_the_page_of_the_service(sqlite_world: World) -> None:
    world = sqlite_world
    worker_round(world)
    operator, head = Visitor(world, "operator1"), Visitor(world, HEAD)
    world.clock.jump(days=2)
    worker_round(world)
    assert "Jam layanan ini tidak dipercaya" in operator.text("/")
    assert "sampai dua orang menerima jam ini" in operator.text("/")
    assert "tidak dipercaya" not in head.text("/")
    assert "Tidak dipercaya: tidak ada yang disetujui" in Visitor(world).text("/status")


def test_every_job_of_the_worker_says_whether_it_goes_by_the_clock() -> None:
    assert {name: job.goes_by_the_clock for name, job in CHORES.items()} == {
        "messages sent": False,
        "rows of files settled": True,
        "tokens made": True,
        "entries taken into the log": False,
        "numbers reserved at the witness": True,
        "statements told to the witness": True,
        "checkpoints signed": True,
        "checkpoints witnessed": False,
        "tokens expired": True,
        "requests expired": True,
        "manifests expired": True,
        "cards suspended for their place": True,
        "unused accounts marked": True,
        "unused accounts disabled": True,
        "access reviews opened": True,
        "access reviews closed": True,
        "temporary roles ended": True,
        "changes of cards added up": False,
        "data keys sealed anew": False,
        "files written": True,
        "own files ended": True,
        "manifests issued anew": True,
        "papers stored": False,
        "known people asked": True,
        "people asked for whom help was asked": False,
        "questions expired": True,
        "people reminded": True,
        "old rows forgotten": True,
        "people given a pseudonym": True,
        "rows found changed past the service": False,
    }
