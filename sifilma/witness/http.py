"""A witness at an address: `sifilma witness serve` on another host, or any server that answers as it does.

One call takes three seconds at most, names and TLS included. A redirect is not followed, an answer that is too large is not read to its
end, and what no witness would say counts as no answer: only what the witness itself says can make statements differ.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlencode

import httpx

from sifilma.audit.cosignature import Cosignature, Cosigner, read_cosignature
from sifilma.audit.note import MAX_BYTES, Checkpoint, NoteRefused, claim, signatures_in
from sifilma.witness import statements
from sifilma.witness.contract import SECONDS, WitnessAway, WitnessDiffers
from sifilma.witness.wire import COUNT, SIZE, STATEMENT, decimal, submission

SMALL = 4096
"""Bytes of an answer that is a number, a digest or a few signature lines."""
AHEAD = 600
"""Seconds by which the witness's clock may be ahead of ours."""


class Forked(WitnessDiffers):
    """The witness has cosigned what this log does not continue: another log of its name, or this one before it was put back."""


class AnotherSize(WitnessDiffers):
    """The newest checkpoint that the witness has cosigned has another size than the log took it for."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The witness has cosigned a log of {size} entries.")
        self.size = size


class _TooLarge(ValueError):
    """The answer has more bytes than any of its kind."""


@dataclass(frozen=True)
class _Answer:
    """Status, media type without its parameters, and body."""

    status: int
    kind: str
    body: bytes


class HttpWitness:
    """Statements and checkpoints at a witness server. `cosigner` is the witness's name and key as they were told to the operator."""

    def __init__(self, url: str, cosigner: Cosigner | None = None, seconds: float = SECONDS) -> None:
        self.url, self.cosigner, self.seconds = url.rstrip("/"), cosigner, seconds

    # --- statements ---

    def count(self) -> int:
        """Return how many statements there are."""
        answer = self._ask("GET", "statements", SMALL)
        if answer.status != 200:
            raise _strange(answer)
        return self._count(answer)

    def read(self, number: int) -> bytes:
        """Return a statement. Nothing but its size is checked here: `statements.verify` says whether it is one."""
        answer = self._ask("GET", f"statements/{number}", statements.MAX_BYTES)
        if answer.status == 200 and answer.kind == STATEMENT:
            return answer.body
        if answer.status == 404:
            raise WitnessDiffers(f"The witness has {self._count(answer)} statements, and no statement {number}.")
        raise _strange(answer)

    def append(self, number: int, content: bytes) -> None:
        """Have the witness keep a statement. It answers with the SHA-256 of what it keeps: no proxy answers so in its place."""
        answer = self._ask("POST", f"statements/{number}", SMALL, content, STATEMENT)
        if answer.status in (200, 201) and answer.body.strip() == hashlib.sha256(content).hexdigest().encode():
            return
        if answer.status == 409:
            raise WitnessDiffers(f"The witness has {self._count(answer)} statements, and does not take this one as number {number}.")
        if answer.status == 403 and answer.kind == COUNT:
            raise WitnessDiffers("The witness does not take this statement for one of this installation: does it know the key?")
        raise _strange(answer)

    # --- checkpoints ---

    def checkpoint(self, origin: str) -> Checkpoint | None:
        """Return the newest checkpoint that the witness has cosigned, or None if it has cosigned none.

        Its cosignature is what counts: the witness took it from the log, whose key may have been revoked since. Raise WitnessDiffers if
        another key cosigned, WitnessAway.
        """
        answer = self._ask("GET", f"checkpoint?{urlencode({'origin': origin})}", MAX_BYTES)
        if answer.status == 404 and answer.kind == SIZE and decimal(answer.body) == 0:
            return None
        if answer.status != 200:
            raise _strange(answer)
        try:
            note = answer.body.decode()
            signatures_in(note)
        except (UnicodeDecodeError, NoteRefused) as broken:
            raise _strange(answer) from broken
        try:
            said = claim(note)
            read_cosignature(note, self._cosigner())
        except NoteRefused as refused:
            raise WitnessDiffers(f"The newest checkpoint of the witness is not to be trusted: {refused}.") from refused
        if said.origin != origin:
            raise WitnessDiffers(f"The witness keeps the log {said.origin}.")
        return said

    def cosign(self, old: int, proof: Sequence[bytes], note: str, now: float) -> Cosignature:
        """Have the witness cosign a checkpoint. `old`: the size it cosigned last; `now`: POSIX seconds.

        Raise AnotherSize, WitnessDiffers if it refuses the proof or another key cosigned, WitnessAway.
        """
        answer = self._ask("POST", "add-checkpoint", SMALL, submission(old, proof, note).encode(), "text/plain")
        if answer.status == 200:
            return self._cosignature(answer, note, now)
        if answer.status == 409 and answer.kind == SIZE and (size := decimal(answer.body)) is not None:
            if size != old:
                raise AnotherSize(size)
            raise Forked(f"The witness has cosigned another log of {size} entries: the log has forked.")
        if answer.status == 422:
            raise Forked(f"The witness refuses the proof: the log does not continue what it cosigned over {old} entries.")
        if answer.status in (403, 404) and answer.kind == SIZE:
            raise WitnessDiffers("The witness does not know this log or the key that signed: it was set up for another.")
        raise _strange(answer)

    def _cosignature(self, answer: _Answer, note: str, now: float) -> Cosignature:
        try:
            cosigned = note + answer.body.decode()
            if len(signatures_in(cosigned)) == len(signatures_in(note)):
                raise NoteRefused("no line at all")
        except (UnicodeDecodeError, NoteRefused) as broken:
            raise _strange(answer) from broken
        try:
            found = read_cosignature(cosigned, self._cosigner())
        except NoteRefused as refused:
            raise WitnessDiffers(f"The cosignature is not that of the witness: {refused}.") from refused
        if found.at > now + AHEAD:
            raise WitnessDiffers("The cosignature is dated in the future.")
        return found

    def _cosigner(self) -> Cosigner:
        if self.cosigner is None:
            raise NoteRefused("SIFILMA_WITNESS_KEY does not say which key cosigns")
        return self.cosigner

    def _count(self, answer: _Answer) -> int:
        found = decimal(answer.body) if answer.kind == COUNT else None
        if found is None:
            raise _strange(answer)
        return found

    # --- the exchange ---

    def _ask(self, method: str, path: str, most: int, content: bytes | None = None, kind: str = "") -> _Answer:
        """Return the whole answer, of `most` bytes at most, within the time. Raise WitnessAway.

        The loop is this call's own and is closed without waiting: a name that is still being looked up does not hold the caller.
        """
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(asyncio.wait_for(self._exchange(method, path, most, content, kind), self.seconds))
        except TimeoutError:
            raise WitnessAway(f"The witness does not answer within {self.seconds:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as fault:
            raise WitnessAway(f"The witness cannot be reached: {type(fault).__name__}.") from fault
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _exchange(self, method: str, path: str, most: int, content: bytes | None, kind: str) -> _Answer:
        headers = {"Content-Type": kind} if kind else {}
        # Without trust_env: no proxy and no password of the environment has a part in this.
        async with (
            httpx.AsyncClient(verify=_tls(), follow_redirects=False, trust_env=False, timeout=None) as client,  # noqa: S113  # `_ask` ends it
            client.stream(method, f"{self.url}/{path}", content=content, headers={"Accept-Encoding": "identity", **headers}) as answer,
        ):
            body = bytearray()
            async for part in answer.aiter_raw():
                body += part
                if len(body) > most:
                    raise _TooLarge
            return _Answer(answer.status_code, answer.headers.get("content-type", "").partition(";")[0].strip().lower(), bytes(body))


@cache
def _tls() -> ssl.SSLContext:
    """Return a context that trusts the authorities of this system, which an operator may add to."""
    return ssl.create_default_context()


def _strange(answer: _Answer) -> WitnessAway:
    """Return the error for what no witness would say: something else answers at its address, or stands before it."""
    return WitnessAway(f"What answers at the witness's address is no witness: status {answer.status}, {answer.kind or 'no type'}.")
