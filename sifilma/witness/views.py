"""The witness server over HTTP: C2SP tlog-witness beside the numbered statements of an installation.

An application of its own, for another host: no database, no HSM, no settings of the installation. Whoever sends something is known by
the log's signature on it, so there are no accounts here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from flask import Flask, Response, request

from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.cosigning import Busy, CosigningFolder, Refused, WitnessBroken
from sifilma.witness.folder import FolderWitness
from sifilma.witness.statements import MAX_BYTES, StatementRefused, digest, verify
from sifilma.witness.wire import COUNT, SIZE, STATEMENT, NoSubmission, parse

TEXT = "text/plain; charset=utf-8"
log = structlog.get_logger()


def application(folder: Path, now: Callable[[], float] = time.time) -> Flask:
    """Return the application of the witness in this folder. Raise WitnessBroken where there is none, or its record cannot be read."""
    held = CosigningFolder(folder)
    for origin in held.logs:
        held.newest(origin)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES
    _faults(app)
    _checkpoints(app, folder, now)
    _statements(app, folder)
    return app


def _checkpoints(app: Flask, folder: Path, now: Callable[[], float]) -> None:
    @app.get("/")
    def about() -> Response:
        """Say who cosigns, and for which logs."""
        held = CosigningFolder(folder)
        return _answer("".join(f"{line}\n" for line in (held.cosigner.vkey, *held.logs)))

    @app.post("/add-checkpoint")
    def add_checkpoint() -> Response:
        """Cosign a checkpoint that continues what was cosigned before."""
        return _answer(CosigningFolder(folder).add(parse(request.get_data()), int(now())))

    @app.get("/checkpoint")
    def checkpoint() -> Response:
        """Return the newest cosigned checkpoint of a log, `?origin=`, else of the one that came last, for whoever compares."""
        held = CosigningFolder(folder)
        origin = request.args.get("origin", list(held.logs)[-1])
        note = held.newest(origin) if origin in held.logs else None
        return _answer("0\n", 404, SIZE) if note is None else _answer(note)


def _statements(app: Flask, folder: Path) -> None:
    kept = FolderWitness(folder)

    def counted(status: int) -> Response:
        return _answer(f"{kept.count()}\n", status, COUNT)

    @app.get("/statements")
    def count() -> Response:
        """Return how many statements there are."""
        return counted(200)

    @app.get("/statements/<int:number>")
    def read(number: int) -> Response:
        """Return a statement as it was sent."""
        if not 1 <= number <= kept.count():
            return counted(404)
        return _answer(kept.read(number), kind=STATEMENT)

    @app.post("/statements/<int:number>")
    def append(number: int) -> Response:
        """Keep a statement of the log's installation that follows the one before. Answer with its SHA-256 once it is on the disk."""
        content = request.get_data()
        if not 1 <= number <= kept.count() + 1:
            return counted(409)
        try:
            previous = digest(kept.read(number - 1)) if number > 1 else ""
            verify(content, CosigningFolder(folder).keys, seq=number, previous=previous)
            kept.append(number, content)
        except StatementRefused as refused:
            log.warning("statement_refused", number=number, reason=str(refused))
            return counted(403)
        except WitnessDiffers as differs:
            log.error("statement_differs", number=number, reason=str(differs))
            return counted(409)
        return _answer(hashlib.sha256(content).hexdigest() + "\n", 201)


def _answer(body: str | bytes, status: int = 200, kind: str = TEXT) -> Response:
    return Response(body, status, {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}, content_type=kind)


def _faults(app: Flask) -> None:
    @app.errorhandler(NoSubmission)
    def malformed(refused: NoSubmission) -> Response:
        return _answer(f"{refused}\n", 400)

    @app.errorhandler(Refused)
    def refused(refused: Refused) -> Response:
        log.warning("checkpoint_refused", status=refused.status, reason=str(refused))
        return _answer(f"{refused.size}\n", refused.status, SIZE) if refused.status != 400 else _answer(f"{refused}\n", 400)

    @app.errorhandler(WitnessBroken)
    def broken(broken: WitnessBroken) -> Response:
        log.error("witness_broken", reason=str(broken))
        return _answer("the record of this witness cannot be read: its operator must look\n", 500)

    @app.errorhandler(Busy)
    def busy(busy: Busy) -> Response:
        return _answer(f"{busy}\n", 503)

    @app.errorhandler(OSError)
    @app.errorhandler(WitnessAway)
    def unwritten(fault: Exception) -> Response:
        log.error("witness_cannot_write", reason=str(fault))
        return _answer("nothing can be kept\n", 507)
