"""The guides for people at the directorate."""

from __future__ import annotations

from flask_babel import lazy_gettext as _

from sifilma.public.guide import BEGIN, Guide, Step

CENTRAL = (
    Guide(
        "operator",
        _("Operators of the directorate"),
        _("You check what comes in, personalise cards, hand them over and review places. You approve nothing."),
        "tools",
        ("operator",),
        (
            BEGIN,
            Step(
                _("Check requests"),
                _(
                    "Compare letter and data. If they agree, mark the request as verified; if not, return it with a note that says what "
                    "to mend."
                ),
                "personalisation_pages.index",
                _("Personalisation"),
            ),
            Step(
                _("Personalise and record the results"),
                _("Enter the UIDs, or send them as a file. Results may come in parts; a card that failed is recorded as damaged at once."),
                "personalisation_pages.index",
                _("Personalisation"),
            ),
            Step(
                _("Hand the cards over"),
                _("Issue the BAST and print it for the box. As long as it is not received you can cancel it."),
                "handover_pages.new",
                _("New BAST"),
            ),
            Step(
                _("Check activation requests"),
                _("The cards must be in the hands of whoever asks, and as many as the letter says."),
                "activation_pages.index",
                _("Activation requests"),
            ),
            Step(
                _("Review doubtful places"),
                _("Read the reason, look at the map, accept the place or say what is wrong with it."),
                "review_pages.index",
                _("Place reviews"),
            ),
            Step(
                _("Destroy cards that are done for"),
                _("Propose the destruction. After the approval of another person record witnesses, photos and the Berita Acara."),
                "destruction_pages.index",
                _("Destruction"),
            ),
        ),
    ),
    Guide(
        "penyetuju",
        _("Approvers of the directorate"),
        _("You approve exactly what you see. Whoever has submitted never approves, and RW takes two of you."),
        "check2-square",
        ("approver",),
        (
            BEGIN,
            Step(
                _("Decide on personalisation requests"),
                _(
                    "Read the letter beside the data: sender, number and date, function and quantity. Approve, return it with a note, or "
                    "reject it. The approval needs a fresh one-time code and binds the very data you were shown."
                ),
                "personalisation_pages.index",
                _("Personalisation"),
                "approval",
            ),
            Step(
                _("Decide on activation requests"),
                _("With the last approval every card gets its token. You never see the tokens: they are the organisation's."),
                "activation_pages.index",
                _("Activation requests"),
            ),
            Step(
                _("Decide on destructions"),
                _("Look at cause and cards. You cannot approve what you proposed yourself."),
                "destruction_pages.index",
                _("Destruction"),
            ),
            Step(
                _("Revoke a manifest"),
                _("An operator proposes, you decide. From then on the card is refused wherever its manifest is checked."),
                "manifest_pages.index",
                _("Manifests"),
            ),
        ),
    ),
    Guide(
        "auditor",
        _("Auditors"),
        _("You read everything and change nothing."),
        "search",
        ("auditor",),
        (
            Step(
                _("Search the audit trail"),
                _("Filter by act, object, organisation and time. Each entry says who did what, when and from where."),
                "audit_pages.index",
                _("Audit trail"),
            ),
            Step(
                _("Ask an entry for its proof"),
                _("An entry's page shows its place in the transparency log and the proof that it has not been changed since."),
                "audit_pages.index",
                _("Audit trail"),
            ),
            Step(
                _("Verify the whole log"),
                _(
                    "The check computes the digest of every entry again and holds the result against everything that was signed. It "
                    "needs a fresh one-time code."
                ),
                "audit_pages.index",
                _("Audit trail"),
            ),
            Step(
                _("Take evidence along"),
                _("What is filtered can be downloaded. Keep a signed checkpoint outside this house: it exposes a log that was rewritten."),
                "audit_pages.index",
                _("Audit trail"),
            ),
            Step(
                _("Follow a card"),
                _("The card's page shows its whole life: requests, handovers, places, manifests."),
                "card_pages.index",
                _("Cards"),
            ),
        ),
    ),
    Guide(
        "administrator",
        _("User administrators"),
        _("You let people in and out. Changes among the people of the directorate take two of you."),
        "people",
        ("user_admin",),
        (
            Step(
                _("Invite the first head of an organisation"),
                _("Choose the organisation, enter the person, and hand over the one-time link. The head invites everybody else there."),
                "user_pages.new",
                _("Invite somebody"),
            ),
            Step(
                _("Propose changes among central people"),
                _("Invitation, roles, disabling: you propose, with a reason, and another administrator decides."),
                "user_pages.index",
                _("Users"),
            ),
            Step(
                _("Decide on a colleague's proposal"),
                _("Make sure by another way that the person asked for it. You cannot decide on your own proposal."),
                "user_pages.proposals",
                _("Proposals"),
            ),
            Step(
                _("When a second factor is lost"),
                _("Make a new invitation. Nobody ever sets another person's password, and the old sessions end."),
                "user_pages.index",
                _("Users"),
            ),
            Step(
                _("When somebody leaves"),
                _("Disable the account the same day. It is not deleted: what the person did stays in the record."),
                "user_pages.index",
                _("Users"),
            ),
        ),
    ),
)
