"""The pages of a nation that are measured, and who opens them."""

from __future__ import annotations

from sqlalchemy import text

from tests.benchmarks.nation import figures
from tests.support.world import World

SEARCHES = ("{uid}", "{part}", "{hardware}", "{pcid}", "{letter}", "{bast}", "ZZQX-NONE", "%%%", "///", "154", "BANK", "kepala0")
READS = ("/cards", "/units", "/manifests", "/activation-requests", "/personalisation-requests", "/handovers", "/outlets", "/audit",
         "/organisations", "/jobs", "/destructions", "/activations", "/cards?state=active", "/cards?function=RW", "/units?state=free",
         "/manifests?state=active", "/cards/{card}", "/units/{unit}", "/manifests/{manifest}")  # fmt: skip
EXPORTS = ("/kartu?unduh=csv", "/unit?unduh=csv", "/manifest?unduh=csv", "/bast?unduh=csv", "/jejak?unduh=csv")
"""Lists as files, of up to 100,000 rows: they are measured once, and by the row."""


def people(world: World) -> dict[str, str]:
    """Return one person of each kind, by what they are."""
    with world.context() as ctx:
        query = (
            "SELECT u.username FROM user_account u JOIN organisation o ON o.id = u.organisation_id"
            " WHERE o.name = :name ORDER BY u.id LIMIT 1"
        )
        bank = ctx.session.execute(text(query), {"name": figures.READERS[0][0]}).scalar_one()
    return {"approver": "penyetuju1", "operator": "operator1", "auditor": "auditor1", "bank": bank, "maker": "softorb.kepala",
            "province": "jatim.kepala", "regency": "magetan.kepala"}  # fmt: skip


def words(world: World) -> dict[str, str]:
    """Return what is searched for: of a card of the bank."""
    one = (
        "SELECT c.uid, u.hardware_number, u.pcid, r.letter_number, c.id AS card, u.id AS unit, r.id AS request FROM card c"
        " JOIN unit u ON u.id = c.unit_id JOIN activation_request_card k ON k.card_id = c.id"
        " JOIN activation_request r ON r.id = k.activation_request_id"
        " JOIN organisation o ON o.id = c.holder_id WHERE o.name = :name AND c.state = 'active' ORDER BY c.id LIMIT 1"
    )
    with world.context() as ctx:
        row = ctx.session.execute(text(one), {"name": figures.READERS[0][0]}).one()
        bast = ctx.session.execute(text("SELECT id, number FROM handover ORDER BY id LIMIT 1")).one()
        manifest = ctx.session.execute(text("SELECT id FROM manifest WHERE card_id = :card"), {"card": row.card}).scalar_one()
    return {"uid": row.uid, "part": row.uid[7:13], "hardware": row.hardware_number, "pcid": row.pcid, "letter": row.letter_number,
            "bast": bast.number, "card": row.uid, "unit": str(row.unit), "request": str(row.request), "handover": str(bast.id),
            "manifest": str(manifest)}  # fmt: skip


def pages(world: World) -> list[str]:
    """Return every page without a parameter, pages of objects, lists with a filter, searches and API reads, with `words` to fill in."""
    rules = [rule for rule in world.app.url_map.iter_rules() if "GET" in (rule.methods or ()) and not rule.arguments]
    found = sorted({rule.rule for rule in rules if not rule.rule.startswith(("/api", "/static", "/masuk", "/keluar", "/.well-known"))})
    objects = ("/kartu/{card}", "/unit/{unit}", "/aktivasi/{request}", "/bast/{handover}", "/manifest/{manifest}")
    more = ("/peta?wilayah=35", "/peta?wilayah=35.20", "/peta?wilayah=31", "/kartu?state=active", "/kartu?state=received",
            "/kartu?function=RW", "/unit?state=free",
            "/kartu?text={part}", "/unit?q={part}", "/manifest?state=active", "/manifest?soon=1", "/jejak?action=card.report",
            "/bast?state=issued",
            "/peta/titik.json?zoom=5&south=-11&west=95&north=6&east=141",
            "/peta/titik.json?zoom=11&south=-7&west=106&north=-6&east=107",
            "/peta/titik.json?zoom=16&south=-6.22&west=106.80&north=-6.19&east=106.84",
            "/peta/titik.json?zoom=17&south=-6.21&west=106.80&north=-6.20&east=106.82")  # fmt: skip
    return [*found, *objects, *more, *EXPORTS, *(f"/cari?q={word}" for word in SEARCHES), *(f"/api/v1{one}" for one in READS)]
