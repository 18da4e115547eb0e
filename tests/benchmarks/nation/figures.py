"""The ministry's own figures of 2021 and 2022: readers at each institution, approved makers, readers of regional offices by province."""

from __future__ import annotations

READERS = (
    ("BNI 46 (PUSAT & CABANG)", 10706), ("BCA", 10289), ("HOME CREDIT", 5496), ("DIVISI TI POLRI", 2727), ("BAINTELKAM POLRI", 1687),
    ("PT. ADIRA DM FINANCE", 1503), ("DITJEN AHU KEMENKUMHAM", 999), ("KORLANTAS POLRI", 1459), ("BARESKRIM POLRI (PUSINAFIS)", 1314),
    ("BANK MANDIRI", 689), ("TELKOMSEL", 762), ("BPD JAWA BARAT BANTEN", 524), ("BANK MAYBANK", 493), ("DITJEN PAJAK - KEMENKEU", 396),
    ("ASDP FERRY INDONESIA", 272), ("BPJS KETENAGAKERJAAN", 309), ("BPR SURYA YUDHAKENCANA", 101), ("PT. PRIVY IDENTITAS DIGITAL", 47),
)  # fmt: skip
"""Readers of the institutions that are named."""
OTHER_READERS = 11_940 + 385 + 211
"""Readers of all others together, two regional offices among them."""
INSTITUTIONS = 1_573
MAKERS = ("PT INTI (PERSERO)", "PT ASIA PASIFIC TRUE TRUST", "PT IDPRO BIGDATA INDONESIA")
"""Makers approved under Permendagri 76/2020, beside those of the demonstration."""
OFFICES_SHARE = 0.1
"""The part of all cards that offices hold, for their encoders. No figure of the ministry says it."""
PROVINCES = {
    "11": 1, "12": 8, "13": 54, "16": 16, "17": 3, "32": 71, "33": 604, "34": 1, "35": 230, "36": 37, "53": 2, "61": 31, "62": 2, "64": 5,
    "73": 90, "75": 1, "91": 4,
}  # fmt: skip
"""Readers of regional offices by the code of their province; those of no other province are known."""
CAPITAL, CAPITAL_WEIGHT = "31", 120
"""The capital's readers are those of the central offices and companies."""
