"""The facts of the demonstration: letters of 2018 (sender, number, date, subject, quantities), real organisations, invented people."""

from __future__ import annotations

from dataclasses import dataclass, field

from sifilma.kernel.actor import OrganisationKind as Kind
from sifilma.kernel.actor import Role

DIRECTORATE = "Direktorat Jenderal Kependudukan dan Pencatatan Sipil"
MAGETAN = "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan"
BANGLI = "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Bangli"
EAST_JAVA = "Dinas Kependudukan dan Pencatatan Sipil Provinsi Jawa Timur"
LEN = "PT LEN INDUSTRI (PERSERO)"
SOFTORB = "PT SOFTORB TECHNOLOGY INDONESIA"
MANDIRI = "BANK MANDIRI"
BPJS = "BPJS KETENAGAKERJAAN"


@dataclass(frozen=True)
class Letter:
    """A letter: number, date (ISO 8601) and subject."""

    number: str
    date: str
    subject: str


@dataclass(frozen=True)
class Account:
    """A demo account of an invented person. `with_key`: its organisation also gets an API key."""

    username: str
    name: str
    organisation: str
    roles: frozenset[Role]
    id_number: str
    with_key: bool = field(default=False)


ORGANISATIONS: tuple[tuple[Kind, str, str | None], ...] = (
    (Kind.DIRECTORATE, DIRECTORATE, None),
    (Kind.REGENCY_OFFICE, MAGETAN, "35.20"),
    (Kind.REGENCY_OFFICE, BANGLI, "51.06"),
    (Kind.PROVINCE_OFFICE, EAST_JAVA, "35"),
    (Kind.MANUFACTURER, LEN, None),
    (Kind.MANUFACTURER, SOFTORB, None),
    (Kind.INSTITUTION, MANDIRI, None),
    (Kind.INSTITUTION, BPJS, None),
)
MODELS = (("LEN-ENC-1", LEN, "RW"), ("LEN-CRD-1", LEN, "R"), ("SOFTORB-CRD-1", SOFTORB, "R"))
AGREEMENTS = ((MANDIRI, "119/PKS-DEMO/1"), (BPJS, "119/PKS-DEMO/2"))
_HEAD, _STAFF = frozenset({Role.HEAD}), frozenset({Role.STAFF})
ACCOUNTS = (
    Account("penyetuju1", "Arif Contoh", DIRECTORATE, frozenset({Role.APPROVER}), "197001011995031001"),
    Account("penyetuju2", "Bunga Contoh", DIRECTORATE, frozenset({Role.APPROVER}), "197102021996032002"),
    Account("operator1", "Candra Contoh", DIRECTORATE, frozenset({Role.OPERATOR}), "198003032005031003"),
    Account("operator2", "Dewi Contoh", DIRECTORATE, frozenset({Role.OPERATOR}), "198104042006032004"),
    Account("auditor1", "Eka Contoh", DIRECTORATE, frozenset({Role.AUDITOR}), "197505052000032005"),
    Account("admin1", "Fajar Contoh", DIRECTORATE, frozenset({Role.USER_ADMIN}), "198206062007031006"),
    Account("admin2", "Gita Contoh", DIRECTORATE, frozenset({Role.USER_ADMIN}), "198307072008032007"),
    Account("kustodian1", "Hadi Contoh", DIRECTORATE, frozenset({Role.CUSTODIAN}), "198408082009031008"),
    Account("magetan.kepala", "Indah Contoh", MAGETAN, _HEAD, "197609092001032009", with_key=True),
    Account("magetan.staf", "Joko Contoh", MAGETAN, _STAFF, "199010102015031010"),
    Account("bangli.kepala", "Komang Contoh", BANGLI, _HEAD, "197711112002031011"),
    Account("jatim.kepala", "Lestari Contoh", EAST_JAVA, _HEAD, "197312121998032012"),
    Account("len.kepala", "Made Contoh", LEN, _HEAD, "L-0001"),
    Account("softorb.kepala", "Nina Contoh", SOFTORB, _HEAD, "S-0001", with_key=True),
    Account("mandiri.kepala", "Oki Contoh", MANDIRI, _HEAD, "M-0001", with_key=True),
    Account("bpjs.kepala", "Putri Contoh", BPJS, _HEAD, "B-0001", with_key=True),
)

PERSONALISATION = Letter("470/304/1403.111/2018", "2018-11-19", "Permohonan Personalisasi Kartu SAM Card Reader R/W")
PERSONALISATION_CARDS = 5
ACTIVATION = Letter("470 / 773 / Dukcapil/2018", "2018-12-05", "Permohonan Pengaktifan Card Reader")
ACTIVATION_ADDRESS = "Jln. Merdeka No.89, Bangli-Bali"
ACTIVATION_READERS = (("CRD12140003", "215BB12LN004813"), ("CRD12140016", "2015BB12LN004826"))
"""Hardware number and SAM Perso as in the letter's attachment, where the first hardware number is one digit short too."""
MAGETAN_TOWN = (-7.6536, 111.3280)
MAGETAN_PLAOSAN = (-7.6700, 111.2260)
BANGLI_TOWN = (-8.4543, 115.3549)
JAKARTA = (-6.2265, 106.8090)
