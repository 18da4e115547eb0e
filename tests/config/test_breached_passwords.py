"""A file of breached passwords is searched in place, and one that is cut off, out of order or something else is refused."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from config import breached_passwords
from config.breached_passwords import Unreadable, fault, is_breached
from config.settings import Settings
from config.soundness import findings

COUNT = 100_000
Lines = list[bytes]


@pytest.fixture(scope="module")
def lines() -> Lines:
    """Lines as Have I Been Pwned gives them: those of the passwords `breached-0` to `breached-99999`."""
    hashes = sorted(sha1(f"breached-{number}".encode(), usedforsecurity=False).hexdigest().upper() for number in range(COUNT))
    return [f"{found}:{number % 9_000 + 1}".encode() for number, found in enumerate(hashes)]


@pytest.fixture(params=["read whole", "probed"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[bytes], str]:
    """Keep a file and return its path. It is checked once as a small file and once as a large one."""
    if request.param == "probed":
        monkeypatch.setattr(breached_passwords, "WHOLE", 0)

    def keep(content: bytes) -> str:
        (tmp_path / "breached.txt").write_bytes(content)
        return str(tmp_path / "breached.txt")

    return keep


FORMS: dict[str, Callable[[Lines], bytes]] = {
    "as published": lambda lines: b"\n".join(lines) + b"\n",
    "CRLF": lambda lines: b"\r\n".join(lines) + b"\r\n",
    "no counts": lambda lines: b"\n".join(line[:40] for line in lines) + b"\n",
    "lower case": lambda lines: b"\n".join(lines).lower() + b"\n",
    "all of these, and no last line end": lambda lines: b"\r\n".join(line[:40].lower() for line in lines),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_hash_of_a_file_is_found_and_no_other_is(kept: Callable[[bytes], str], lines: Lines, form: str) -> None:
    path = kept(FORMS[form](lines))
    assert fault(path) == ""
    chosen = {0, COUNT - 1, *random.Random(1).sample(range(COUNT), 200)}
    assert all(is_breached(path, f"breached-{number}") for number in chosen)
    assert not any(is_breached(path, f"unknown-{number}") for number in range(200))


def test_the_first_and_the_last_line_and_files_of_a_few_are_found(kept: Callable[[bytes], str]) -> None:
    words = ["satu", "dua", "tiga"]
    for count in (1, 2, 3):
        hashes = sorted(sha1(word.encode(), usedforsecurity=False).hexdigest() for word in words[:count])
        path = kept("\n".join(hashes).encode())
        assert [is_breached(path, word) for word in words] == [number < count for number in range(3)]


def test_a_look_up_reads_a_few_pages_whatever_the_size(kept: Callable[[bytes], str], lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lengths, pread = kept(b"\n".join(lines) + b"\n"), list[int](), os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        lengths.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    begun = perf_counter()
    for number in range(100):
        is_breached(path, f"breached-{number}")
    assert sum(lengths) <= 100 * 8192
    assert len(lengths) <= 100 * 12  # 4.4 MB are halved ten times; each doubling is one read more
    assert perf_counter() - begun < 0.5


def _by_count(lines: Lines) -> bytes:
    ordered: Lines = sorted(lines, key=lambda line: line[40:])
    return b"\n".join(ordered)


BROKEN: dict[str, tuple[str, Callable[[Lines], bytes]]] = {
    "empty": ("empty", lambda _: b""),
    "something else": ("no SHA-1 hashes", lambda _: b"password\n123456\n" * 50_000),
    "one long line": ("no SHA-1 hashes", b" ".join),
    "ntlm": ("NTLM", lambda lines: b"\n".join(line[:32] + line[40:] for line in lines)),
    "ordered by count": ("not ordered", _by_count),
    "cut off in the middle": ("not whole", lambda lines: b"\n".join(lines[: COUNT // 2]) + b"\n"),
    "a hundredth is missing at the end": ("not whole", lambda lines: b"\n".join(lines[: COUNT * 99 // 100]) + b"\n"),
    "a hundredth is missing at the start": ("not whole", lambda lines: b"\n".join(lines[COUNT // 100 :]) + b"\n"),
    "a tenth is missing between": ("not whole", lambda lines: b"\n".join(lines[:40_000] + lines[50_000:]) + b"\n"),
    "cut off within the last hash": ("cut off", lambda lines: b"\n".join(lines)[:-30]),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_file_that_would_let_passwords_pass_is_refused_at_the_start(kept: Callable[[bytes], str], lines: Lines, broken: str) -> None:
    words, make = BROKEN[broken]
    given: dict[str, Any] = {"env": "demo", "breached_passwords": kept(make(lines))}
    settings = Settings(**given)
    refused = [finding for finding in findings(settings) if finding.refused]
    assert [finding.setting for finding in refused] == ["breached_passwords"]
    assert words in refused[0].text


def test_a_file_that_is_away_or_out_of_order_is_no_silent_pass(kept: Callable[[bytes], str], lines: Lines, tmp_path: Path) -> None:
    assert "cannot be read" in fault(str(tmp_path / "none.txt"))
    with pytest.raises(Unreadable):
        is_breached(str(tmp_path / "none.txt"), "breached-1")
    with pytest.raises(Unreadable):
        is_breached(kept(b"\n".join(reversed(lines[:50]))), "breached-1")
