"""The dispatcher of PostgreSQL: procrastinate, in as many processes on as many hosts as there are.

The engine schedules (each moment once, whoever is first), hands out (one turn of an organisation at a time), retries and keeps what was
given up. What it cannot know stands here: which of its workers are dead (`_mend`), that this process was taken for dead (`_fence`), and
what waits though nobody has enqueued it (`_reconcile`).
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from procrastinate import App, PsycopgConnector, RetryDecision
from procrastinate.exceptions import AlreadyEnqueued, ProcrastinateException
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy
from procrastinate.worker import Worker
from psycopg import Error
from sqlalchemy import select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from sifilma.dispatch import queue
from sifilma.dispatch.contract import DEAD, Chore
from sifilma.dispatch.models import WorkRun
from sifilma.dispatch.runner import Runner
from sifilma.kernel.db import engine_options

SCHEMA = "procrastinate"
BY_TIME = "time"
"""The engine's queue of runs, as `queue.QUEUE` is that of turns."""
HEARTBEAT = 3.0
"""Seconds between two signs of life of a worker to the engine (`DEAD`: without one it is taken for dead)."""
MEND_EVERY = 5.0
POLL = 2.0
"""Seconds after which the queues are looked at, where no notification came: a pooler may swallow it, and a retry sends none."""
RECONCILE_EVERY = 10.0
AT_ONCE = 3
"""Runs by time at once in a process."""
STUCK = 30
"""Seconds without a step of the event loop after which the process ends itself."""
LONGEST_AHEAD = 180
"""Seconds beyond which no retry is put off: one further ahead was dated by a wrong clock, and is due."""
KEEP_HOURS = 30 * 24
"""Hours for which the engine keeps what it has given up."""
GIVEN_UP = 75
"""The exit status of a process that was taken for dead, or in which a run hangs."""
PARTING = 10.0
"""Seconds for which a process that is told to end waits for its turns."""
LONGEST_PAUSE = 8.0
"""Seconds between two attempts to begin without the database."""
SWEEP_EVERY = 3600.0
BESIDE = 4
"""Threads for what goes on beside the runs."""
STEP_BACK, NUDGE = 0.02, 0.05
"""Seconds after which a turn that goes on is due, where other processes work, and after which all are told: who gave it would always
be the first to take the next one, and a process that has nothing to do would get none."""
ITS_WORKERS = 2
"""Workers of the engine in a process: one for each queue."""
log = structlog.get_logger()

_DEAD = """
WITH stalled AS (
    SELECT j.id, j.queueing_lock FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
    WHERE j.status = 'doing' AND (j.id = ANY(%(lost)s::bigint[]) OR w.id IS NULL
        OR w.last_heartbeat NOT BETWEEN now() - make_interval(secs => %(dead)s) AND now() + make_interval(secs => %(dead)s))
    FOR UPDATE OF j SKIP LOCKED)
SELECT s.id, CASE WHEN EXISTS (SELECT 1 FROM procrastinate_jobs n WHERE n.status = 'todo' AND n.queueing_lock = s.queueing_lock)
    THEN procrastinate_finish_job_v1(s.id, 'failed', true) ELSE procrastinate_retry_job_v2(s.id, now(), NULL, NULL, NULL) END FROM stalled s
"""
_AHEAD = """
UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at > now() + make_interval(secs => %(most)s)
"""
_MINE = "SELECT id, worker_id FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = ANY(%(workers)s::bigint[])"
_IS_MINE = "SELECT count(*) AS held FROM procrastinate_jobs WHERE id = %(id)s AND status = 'doing' AND worker_id = %(worker)s"
_TELL = "SELECT pg_notify(%(channel)s, %(told)s)"
_ENTRIES = text(f"SELECT queueing_lock FROM {SCHEMA}.procrastinate_jobs WHERE queue_name = :queue AND status IN ('todo', 'doing')")  # noqa: S608  # a constant
_NEXT = text(
    f"SELECT {queue.PLACE}, now() + make_interval(secs => greatest(:seconds, CASE WHEN others.there THEN {STEP_BACK} ELSE 0 END))"  # noqa: S608  # constants
    f" FROM (SELECT count(*) > {ITS_WORKERS} AS there FROM {SCHEMA}.procrastinate_workers) AS others"
)


class Again(Exception):
    """The object is not done: its next turn is at `at`, at this place of the line, and excludes those of the same `lock`."""

    def __init__(self, at: datetime, place: int, lock: str) -> None:
        super().__init__(lock)
        self.decision = RetryDecision(retry_at=at, priority=-place, lock=lock)


class _Turns(BaseRetryStrategy):
    """A turn that says when the next one is, is retried; one that fails otherwise is given up, and stays in the engine as failed."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        return exception.decision if isinstance(exception, Again) else None


@dataclass
class _Run:
    """What this process does at present."""

    chore: str
    worker: int
    until: float


class Engine:
    """A process that works for the installation. `scope` is the application's context; `beat` gives the sign of life of this process."""

    def __init__(
        self, url: URL, runner: Runner, slots: int, scope: Callable[[], AbstractContextManager[Any]], beat: Callable[[], Any]
    ) -> None:
        self._url, self._runner, self._slots, self._scope, self._beat = url, runner, slots, scope, beat
        self._runs: dict[int, _Run] = {}
        self._missing: set[int] = set()
        self._nudges: set[asyncio.Task[None]] = set()
        self._stopping = False

    def keep_working(self) -> None:
        """Work until the process is told to end. Without the database it begins anew until that is back."""
        pause = 1.0
        while not self._stopping:
            began = time.monotonic()
            try:
                asyncio.run(self._work())
            except (ProcrastinateException, Error, OSError) as fault:
                log.warning("engine_away", fault=type(fault).__name__)
            finally:
                faulthandler.cancel_dump_traceback_later()  # to wait for the database is not to hang
            pause = 1.0 if time.monotonic() - began > STUCK else min(2 * pause, LONGEST_PAUSE)
            if not self._stopping:
                time.sleep(pause)

    async def _work(self) -> None:
        self._runs, self._missing = {}, set()
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(AT_ONCE + self._slots + BESIDE))
        app = App(connector=self._connector(), periodic_defaults={"max_delay": 24 * 3600})
        for number, (name, chore) in enumerate(self._runner.chores.items()):
            self._register(app, number, name, chore)
        async with app.open_async():
            workers = [self._worker(app, BY_TIME, AT_ONCE), self._worker(app, queue.QUEUE, self._slots)]
            going = [asyncio.create_task(worker.run()) for worker in workers]  # type: ignore[no-untyped-call]  # procrastinate says nothing of it
            beside = [
                asyncio.create_task(step) for step in (self._watch(), self._give_signs(), self._look_after(app, workers), self._ask(app))
            ]
            for stop in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(stop, self._end, workers)
            try:
                ended, _ = await asyncio.wait(going + beside, return_when=asyncio.FIRST_COMPLETED)
            finally:
                _stop(workers)
                for step in beside:
                    step.cancel()
                results = await asyncio.gather(*going, *beside, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
                    raise result
            del ended

    def _connector(self) -> PsycopgConnector:
        options = engine_options(self._url)["connect_args"]
        kwargs = {"connect_timeout": options["connect_timeout"], "options": f"{options['options']} -c search_path={SCHEMA}"}
        # Behind a pooler a statement may come to a server process that does not know what another one prepared.
        kwargs["prepare_threshold"] = None
        plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        return PsycopgConnector(conninfo=plain, kwargs=kwargs, min_size=1, max_size=6, timeout=5.0)

    def _worker(self, app: App, name: str, concurrency: int) -> Worker:
        return Worker(
            app, queues=[name], name=name, concurrency=concurrency, fetch_job_polling_interval=POLL, delete_jobs="successful",
            update_heartbeat_interval=HEARTBEAT, stalled_worker_timeout=DEAD, shutdown_graceful_timeout=PARTING,
            install_signal_handlers=False, worker_middleware=[self._fence],
        )  # fmt: skip

    def _register(self, app: App, number: int, name: str, chore: Chore) -> None:
        if chore.turn is not None:
            app.task(name=name, queue=queue.QUEUE, retry=_Turns())(self._turn(name))
            return
        task = app.task(name=name, queue=BY_TIME, lock=name, queueing_lock=name)(self._run(name))
        if chore.due is None:
            app.periodic(cron=cron_of(chore.every, number))(task)

    def _run(self, name: str) -> Callable[..., None]:
        def run(timestamp: int = 0) -> None:  # noqa: ARG001  # the moment it was scheduled for
            with self._scope():
                self._runner.run(name)

        return run

    def _turn(self, name: str) -> Callable[..., None]:
        def turn(subject: str, organisation: str) -> None:
            with self._scope():
                done = self._runner.turn(name, UUID(subject))
                if done.again_in is None:
                    return
                asked = {"chore": name, "organisation": organisation, "seconds": done.again_in}
                with self._runner.contexts() as ctx:
                    place, at = ctx.session.execute(_NEXT, asked).one()
                # Who waits, for an outage or after a fault, keeps the organisation's others from nothing.
                raise Again(at, place, queue.line_of(name, subject if done.again_in else organisation))

        return turn

    async def _fence(self, process: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Keep a run under watch. If it was handed to another worker meanwhile, end this process: what it would report is false."""
        job, holder, name = context.job.id, worker.worker_id, context.job.task_name
        assert job is not None  # noqa: S101  # procrastinate gives every stored job its id
        assert holder is not None  # noqa: S101  # nor does a worker work before it is registered
        chore = self._runner.chores.get(name)
        self._runs[job] = _Run(name, holder, time.monotonic() + (chore.most_seconds if chore else STUCK))
        try:
            return await process()
        except Again:
            nudge = asyncio.create_task(self._nudge(context.app, worker))
            self._nudges.add(nudge)
            nudge.add_done_callback(self._nudges.discard)
            raise
        finally:
            try:
                row = await context.app.connector.execute_query_one_async(_IS_MINE, id=job, worker=holder)
            finally:
                del self._runs[job]
            if not row["held"]:
                log.error("worker_taken_for_dead", chore=name)
                _end_process()

    async def _nudge(self, app: App, worker: Worker) -> None:
        """Tell the workers that a turn is due. The engine tells of new entries only, not of those that are put back.

        This process is told once more, and itself: behind a pooler that swallows notifications it would look after POLL seconds.
        """
        await asyncio.sleep(NUDGE)
        with suppress(ProcrastinateException):
            await app.connector.execute_query_async(_TELL, channel=f"procrastinate_queue_v1#{queue.QUEUE}", told='{"type": "job_inserted"}')
        await asyncio.sleep(NUDGE)
        worker._new_job_event.set()  # what the notification sets; there is no other way in

    async def _watch(self) -> None:
        """End this process if one of its runs hangs, or the loop itself."""
        while True:
            faulthandler.dump_traceback_later(STUCK, exit=True)
            now = time.monotonic()
            for run in list(self._runs.values()):
                if now > run.until:
                    faulthandler.dump_traceback(all_threads=True)
                    log.error("run_hangs", chore=run.chore)
                    _end_process()
            await asyncio.sleep(1)

    async def _give_signs(self) -> None:
        """Give signs of life for /readyz, and move the trusted moment on."""
        while True:
            await asyncio.to_thread(self._in_scope, self._beat)
            await asyncio.sleep(MEND_EVERY)

    async def _look_after(self, app: App, workers: list[Worker]) -> None:
        """Have what dead workers held handed out again; enqueue what waits and has no entry."""
        looked, swept = 0.0, time.monotonic()
        while True:
            await self._mend(app, workers)
            now = time.monotonic()
            if now - looked >= RECONCILE_EVERY:
                looked = now
                await asyncio.to_thread(self._in_scope, self._reconcile)
            if now - swept >= SWEEP_EVERY:
                swept = now
                await app.job_manager.delete_old_jobs(KEEP_HOURS, include_failed=True, include_cancelled=True, include_aborted=True)
            await asyncio.sleep(MEND_EVERY)

    async def _mend(self, app: App, workers: list[Worker]) -> None:
        """Hand out again what a dead worker held, and what this process holds and does not do: its report was lost with the connection."""
        mine = [worker.worker_id for worker in workers if worker.worker_id is not None]
        held = {row["id"] for row in await app.connector.execute_query_all_async(_MINE, workers=mine)} - set(self._runs)
        lost, self._missing = held & self._missing, held  # seen twice: between fetching and running lies a moment
        found = await app.connector.execute_query_all_async(_DEAD, dead=DEAD, lost=sorted(lost))
        if found:
            log.warning("work_taken_over", jobs=[row["id"] for row in found])
        await app.connector.execute_query_async(_AHEAD, most=LONGEST_AHEAD)
        await app.job_manager.prune_stalled_workers(2 * DEAD)

    def _reconcile(self) -> None:
        """Enqueue what waits and has no entry: an earlier version took it in, the database was restored, or its entry was lost."""
        for name, chore in self._runner.chores.items():
            if chore.waiting is None:
                continue
            try:
                with self._runner.contexts() as ctx:
                    waiting = chore.waiting(ctx)
                    if not waiting:
                        continue
                    entries = set(ctx.session.scalars(_ENTRIES, {"queue": queue.QUEUE}))
                    given_up = select(WorkRun.subject).where(WorkRun.chore == name, WorkRun.gave_up_at.is_not(None))
                    out = set(ctx.session.scalars(given_up))
                    for one in waiting:
                        if queue.entry_of(name, one.subject) not in entries and str(one.subject) not in out:
                            queue.enqueue(ctx.session, name, one.subject, one.organisation)
                            log.info("work_enqueued_anew", chore=name, subject=str(one.subject))
            except IntegrityError:
                log.info("enqueued_by_another", chore=name)
            except SQLAlchemyError as fault:
                log.warning("not_reconciled", chore=name, fault=type(fault).__name__)

    async def _ask(self, app: App) -> None:
        """Ask each second the chores that are done when something is due, and have one of all workers do it."""
        asked = [name for name, chore in self._runner.chores.items() if chore.due is not None]
        while True:
            for name in await asyncio.to_thread(self._in_scope, lambda: [one for one in asked if self._is_due(one)]):
                try:
                    await app.configure_task(name, queue=BY_TIME, lock=name, queueing_lock=name, priority=1).defer_async()
                except AlreadyEnqueued:
                    continue
            await asyncio.sleep(1)

    def _is_due(self, name: str) -> bool:
        due = self._runner.chores[name].due
        assert due is not None  # noqa: S101  # asked of those alone
        try:
            with self._runner.contexts() as ctx:
                ctx.uow.begin_read()
                return due(ctx)
        except SQLAlchemyError:
            return False  # the engine's own connections notice

    def _in_scope(self, act: Callable[[], Any]) -> Any:
        with self._scope():
            return act()

    def _end(self, workers: list[Worker]) -> None:
        self._stopping = True
        _stop(workers)


def cron_of(every: int, number: int) -> str:
    """Return when a chore runs, as five or six fields (the sixth are seconds). Those of minutes begin at different seconds."""
    if every < 60:
        return f"* * * * * */{every}"
    return f"*/{every // 60} * * * * {(7 * number) % 60}"


def _stop(workers: list[Worker]) -> None:
    for worker in workers:
        worker.stop()  # type: ignore[no-untyped-call]  # procrastinate says nothing of it


def _end_process() -> None:
    """End this process at once: its transactions roll back, and whoever supervises it starts another."""
    sys.stderr.flush()
    os._exit(GIVEN_UP)
