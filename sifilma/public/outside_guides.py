"""The guides for people who ask for cards: offices, institutions and manufacturers."""

from __future__ import annotations

from flask_babel import lazy_gettext as _

from sifilma.public.guide import ACTIVATION, PROFILE, STAFF, Guide, Step

OUTSIDE = (
    Guide(
        "dinas",
        _("Regency and province offices"),
        _("From your machines to their manifests. A province office sees the work of its regencies as well."),
        "building",
        ("regency", "province"),
        (
            PROFILE,
            STAFF,
            Step(
                _("Register your machines"),
                _("Each reader or encoder is a unit: hardware number, model and PCID. Many come by one file, made from the template."),
                "unit_pages.new",
                _("Register units"),
            ),
            Step(
                _("Request the personalisation"),
                _("State the function (R or RW) and the number of cards, add your letter as a PDF, look at it once more and submit."),
                "personalisation_pages.new",
                _("New personalisation request"),
            ),
            Step(
                _("Receive the cards"),
                _("Compare every UID with the BAST. If all agree, receive it; if not, refuse it with a note."),
                "handover_pages.index",
                _("Handovers (BAST)"),
            ),
            *ACTIVATION,
        ),
    ),
    Guide(
        "lembaga",
        _("Institutions"),
        _("From the readers you buy to their manifests. You need an agreement (PKS) that is valid today."),
        "bank",
        ("institution",),
        (
            PROFILE,
            STAFF,
            Step(
                _("Register the readers you bought"),
                _("Hardware number and model as on the delivery note; the manufacturer supplies the PCID. Many come by one file."),
                "unit_pages.new",
                _("Register units"),
            ),
            Step(
                _("Follow the manufacturer's request"),
                _("The manufacturer submits the batch with your purchase order. You see it and where it stands, and need do nothing."),
                "personalisation_pages.index",
                _("Personalisation"),
            ),
            Step(
                _("Receive the cards"),
                _("The manufacturer hands the cards over by a BAST. Compare every UID; receive it, or refuse it with a note."),
                "handover_pages.index",
                _("Handovers (BAST)"),
            ),
            *ACTIVATION,
        ),
    ),
    Guide(
        "produsen",
        _("Manufacturers"),
        _("From a buyer's purchase order to the cards in the buyer's hands."),
        "cpu",
        ("manufacturer",),
        (
            PROFILE,
            STAFF,
            Step(
                _("Fetch the buyer's template"),
                _(
                    "Choose the buyer: the template holds the units it registered of your models. Add the PCID of each, and its UID if "
                    "known."
                ),
                "personalisation_pages.find_buyer",
                _("Find the buyer"),
            ),
            Step(
                _("Submit the batch"),
                _(
                    "Add letter, purchase order and batch file. Rows that do not fit are shown with their line and column: put them "
                    "right in the file and send it again."
                ),
                "personalisation_pages.new",
                _("New personalisation request"),
            ),
            Step(
                _("Receive the cards of the directorate"),
                _("Compare every UID with the BAST. If all agree, receive it; if not, refuse it with a note."),
                "handover_pages.index",
                _("Handovers (BAST)"),
            ),
            Step(
                _("Hand the cards to the buyer"),
                _("Issue a BAST to the buyer. Until it is received you can cancel it."),
                "handover_pages.new",
                _("New BAST"),
            ),
            Step(
                _("Report damaged cards"),
                _("A card that does not work is reported before it leaves your house; the batch then needs a replacement."),
                "card_pages.index",
                _("Cards"),
            ),
        ),
    ),
)
