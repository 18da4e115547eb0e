"""Telling the witness: who signs statements, whose statements count, and status lists that are told before they are served."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from cryptography.hazmat.primitives.asymmetric import ec

from config.settings import Settings
from hsm import HSM
from manifests.keyset import KeysetRefused, verify_keyset
from manifests.status import StatusList as SignedList
from sifilma.activation.trust import keyset
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Unavailable
from sifilma.witness import row, statements
from sifilma.witness.contract import AGAIN, WitnessAway, WitnessDiffers
from sifilma.witness.opening import open_witness
from sifilma.witness.row import Said
from sifilma.witness.statements import Kind, Statement, StatementRefused

LABEL = "audit-sign"
TRIES = 5
"""How often a statement is written anew where another process wrote one meanwhile."""
PATIENCE = 3.0
"""Seconds for which a reader of a list waits until the witness has what was written before."""
_away_until: dict[str, float] = {}


def signer(ctx: Context, settings: Settings, hsm: HSM) -> row.Sign:
    """Return what signs statements: all of one call on one token, each naming the one before. No transaction may be open."""

    def sign(made: Sequence[Statement]) -> list[bytes]:
        return hsm.through(lambda token: _sign(settings, token, ctx, made))

    return sign


def _sign(settings: Settings, token: HSM, ctx: Context, made: Sequence[Statement]) -> list[bytes]:
    by = keyset.signer(settings, token, LABEL, ctx.trusted_now)
    contents: list[bytes] = []
    for statement in made:
        previous = statements.digest(contents[-1]) if contents else statement.previous
        contents.append(statements.sign(replace(statement, previous=previous), by.kid, lambda digest: token.sign(by.label, digest)))
    return contents


def judge(settings: Settings, content: bytes, seq: int, previous: str) -> Statement:
    """Return a statement of this installation that has this number and follows the one with this SHA-256. Raise StatementRefused."""
    return statements.verify(content, keys_for(settings, content), seq=seq, previous=previous)


def keys_for(settings: Settings, content: bytes) -> list[ec.EllipticCurvePublicKey]:
    """Return the keys that may have signed a statement: those of the keyset, and of a later one that it tells and the root signed."""
    try:
        trust = keyset.load(settings)
    except Unavailable as without:
        raise StatementRefused("there is no usable keyset to verify statements with") from without
    keys = [key.jwk.key() for key in trust.keyset.keys if key.use == "audit"]
    said = statements.claim(content)
    if said.kind == Kind.KEYSET:
        try:
            later = verify_keyset(str(said.told["jws"]).encode(), trust.pin, 0)
        except (KeysetRefused, KeyError) as refused:
            raise StatementRefused(f"statement {said.seq} tells a keyset that the root did not sign") from refused
        keys += [key.jwk.key() for key in later.keys if key.use == "audit"]
    return keys


def tell(ctx: Context, settings: Settings, hsm: HSM, said: Sequence[Said], seconds: float = inf) -> None:
    """Write statements and have the witness get them at once. The unit's own transaction is rolled back.

    Raise WitnessAway, also where earlier ones take longer than so many seconds, and WitnessDiffers; they are then written, and the worker
    tells them. Raise Unavailable if others always write first.
    """
    write(ctx, settings, hsm, said)
    witness = open_witness(settings)
    if witness is not None:
        row.send(ctx, witness, seconds)


def write(ctx: Context, settings: Settings, hsm: HSM, said: Sequence[Said]) -> None:
    """Write statements, which the worker tells. Raise Unavailable if others always write first."""
    sign = signer(ctx, settings, hsm)
    if not any(row.write(ctx, settings.issuer, sign, said) for _ in range(TRIES)):
        raise Unavailable("Other statements for the witness are being written: try again.", retry_after=1)


def tell_list(ctx: Context, settings: Settings, hsm: HSM, made: SignedList, line: str, *, anyway: bool) -> bool:
    """Tell a publication of a status list before it is served. Return False if the witness is away.

    It is then told later, if it is served `anyway`.
    """
    if not settings.witness:
        return True
    said = [Said(Kind.STATUS_LIST, {"list": made.list, "seq": made.seq, "jws": line}, str(made.list), made.seq)]
    if _answers(settings):
        try:
            tell(ctx, settings, hsm, said, PATIENCE)
        except (WitnessAway, WitnessDiffers):  # it is written
            keep_quiet(settings)
            return False
        return True
    if anyway:
        write(ctx, settings, hsm, said)
    return False


def _answers(settings: Settings) -> bool:
    """Return whether the witness answers. One that was away lately is not asked: each reader of a list would wait for it."""
    witness = open_witness(settings)
    if witness is None or time.monotonic() < quiet_until(settings):
        return False
    if getattr(witness, "is_silent", False):  # a mailbox takes statements, and answers nothing
        return True
    try:
        witness.count()
    except WitnessAway:
        keep_quiet(settings)
        return False
    return True


def keep_quiet(settings: Settings) -> None:
    """Ask a witness that is away not again for AGAIN, in this process."""
    _away_until[settings.witness] = time.monotonic() + AGAIN


def quiet_until(settings: Settings) -> float:
    """Return until when (`time.monotonic`) the witness is not asked."""
    return _away_until.get(settings.witness, 0.0)
