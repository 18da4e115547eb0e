"""The ZIP of manifests as it is sent: a note to read first, the manifests, and an index of them all."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import datetime

from flask_babel import gettext as _

from config.settings import Settings
from sifilma.activation.archives import service
from sifilma.activation.archives.service import Archive, Entry
from sifilma.activation.trust import keyset
from sifilma.documents.indonesian import WIB
from sifilma.documents.tables.writing import write_csv
from sifilma.kernel.context import Context
from sifilma.kernel.deadline import Allowance
from sifilma.kernel.errors import Unavailable
from sifilma.own_files.zips import ZipPart, closed
from sifilma.web.pages import moment
from sifilma.web.states import state
from sifilma.web.streams import RETRY_AFTER, place

ZIP = "application/zip"
READ_FIRST, INDEX = "BACA-DAHULU.txt", "index.csv"
SECONDS = 60.0


def filename(ctx: Context) -> str:
    """Return the name of an archive that is written now, such as `manifest-20261123-1000.zip` (WIB)."""
    return f"manifest-{ctx.now.astimezone(WIB):%Y%m%d-%H%M}.zip"


def parts(ctx: Context, settings: Settings, archive: Archive) -> Generator[bytes, None, None]:
    """Yield the ZIP while it is written, after the records of its downloads are committed. Raise Unavailable if that takes too long."""
    allowed = Allowance(SECONDS, settings.request_deadline)
    out, lines = ZipPart(0, ctx.now.astimezone(WIB)), list[Sequence[object]]()
    with place():
        out.add(READ_FIRST, read_first(settings, len(archive.packed), len(archive.manifests), ctx.now).encode())
        groups = service.groups(ctx, archive, out)
        while (entries := _next(groups, allowed)) is not None:
            lines += [line(entry) for entry in entries]
            if data := out.taken():
                yield data
        out.add(INDEX, write_csv(header(), lines))
        yield out.taken() + b"".join(closed(out, ()))


def _next(groups: Generator[list[Entry], None, None], allowed: Allowance) -> list[Entry] | None:
    """Return the next entries, None at the end. Raise Unavailable if writing took too long."""
    if allowed.is_over:
        raise Unavailable("The archive took too long to write. Choose fewer manifests, or try again later.", retry_after=RETRY_AFTER)
    with allowed.step():
        return next(groups, None)


def header() -> list[str]:
    """Return the heading of the index."""
    return [
        _("SAM card"), _("Sequence"), _("Machine"), _("Model"), _("Address"), _("Region code"), _("State"), _("Valid until"),
        _("File"), "SHA-256", _("File (JWE)"), _("SHA-256 (JWE)"),
    ]  # fmt: skip


def line(entry: Entry) -> list[object]:
    """Return the line of a manifest in the index."""
    of = entry.of
    named = [of.uid, of.seq, of.hardware_number, of.model, of.address, of.region_code, str(state(of.state).name), moment(of.expires_at)]
    files = (f"{of.name}.jws", f"{of.name}.jwe")
    return named + [cell for name in files for cell in ((name, entry.files[name]) if name in entry.files else ("", ""))]


def read_first(settings: Settings, packed: int, listed: int, now: datetime) -> str:
    """Return the note that says what is packed, as plain text with the line ends that every editor knows."""
    pin, url = keyset.load(settings).pin, settings.public_url
    lines = [
        _("MANIFESTS OF SAM CARDS"),
        _("Written on %(moment)s: %(packed)s of %(listed)s manifests are packed.", moment=moment(now), packed=packed, listed=listed),
        "",
        _("1. Each manifest opens one card in one machine. %(index)s says which file belongs to which machine.", index=INDEX),
        _("2. Put the .jws file on the machine that the index names. A machine with a public key takes the .jwe file instead: only that"
          " machine can open it."),
        _("3. A manifest without a file in the index is not given out: its state says why."),
        _("4. Keep this archive to yourself, and delete it when the files are on their machines. Each download is recorded."),
        "",
        _("To verify a file, open %(url)s, or run the verifier:", url=f"{url}/verifikasi"),
        f"  curl -O {url}/.well-known/sam-keyset.jws",
        f"  sifilma manifest verify UID-NO.jws --keyset sam-keyset.jws --root-sha256 {pin}",
        _("Compare the SHA-256 of a file with the one in the index to see whether it arrived whole."),
    ]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"
