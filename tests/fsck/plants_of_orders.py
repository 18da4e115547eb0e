"""Planted faults of orders that shrank, of the ledger of blank SAMs, and of rejected places."""

from __future__ import annotations

from tests.fsck.plant import plant

ORDERS = [
    plant("request-closed", "personalisation_request", "is closed, the proposal to close it says otherwise",
          "UPDATE personalisation_closing SET state='rejected', remainder=NULL WHERE state='executed'"),
    plant("request-closed", "personalisation_request", "is personalising, the proposal to close it says otherwise",
          "UPDATE personalisation_request SET state='personalising' WHERE state='closed'"),
    plant("request-closed", "personalisation_closing", "states a remainder of 9", "UPDATE personalisation_closing SET remainder=9 WHERE state='executed'"),
    plant("request-closed", "card", "waits to be made, and its request is closed",
          "UPDATE card SET state='registered' WHERE personalisation_request_id = {some personalisation_request state='closed'}"),
    plant("four-eyes", "personalisation_closing", "was executed by nobody, or by the person who proposed it",
          "UPDATE personalisation_closing SET decided_by_person=proposed_by_person WHERE state='executed'"),
    plant("blank-balance", "blank_delivery", "counts 5 blanks, 4 are there", "DELETE FROM blank_card WHERE id = {some blank_card state='stocked'}"),
    plant("blank-balance", "blank_card", "is stocked, and its delivery is cancelled",
          "UPDATE blank_card SET state='stocked' WHERE state='withdrawn'"),
    plant("blank-balance", "blank_card", "is failed, the result of its card says otherwise",
          "UPDATE blank_card SET state='failed' WHERE state='personalised'"),
    plant("blank-balance", "blank_card", "is stocked, the result of its card says otherwise",
          "UPDATE blank_card SET state='stocked', personalisation_request_id=NULL WHERE state='failed'"),
    plant("blank-balance", "blank_card", "is personalised, the result of its card says otherwise",
          "UPDATE blank_card SET state='personalised' WHERE state='issued'"),
    plant("blank-balance", "blank_card", "is issued for a request that is not being made",
          "UPDATE blank_card SET personalisation_request_id = {some personalisation_request state='closed'} WHERE state='issued'"),
    plant("blank-balance", "blank_delivery", "has other UIDs than were recorded", "UPDATE blank_card SET uid='30154B0100000000' WHERE state='issued'"),
    plant("row-recorded", "blank_delivery", "is not what its newest act recorded", "UPDATE blank_delivery SET supplier='PT Lain'"),
    plant("place-suspended", "place_suspension", "is suspended, its suspension of the card is not",
          "UPDATE card_suspension SET closed_act=opened_act WHERE cause='place'"),
    plant("place-suspended", "place_suspension", "is lifted, its suspension of the card is not",
          "UPDATE card_suspension SET closed_act=NULL WHERE cause='place'"),
    plant("place-suspended", "card", "was suspended for its place, and nobody proposed it",
          "UPDATE place_suspension SET state='dropped', suspension_id=NULL WHERE state='suspended'"),
    plant("place-suspended", "place_suspension", "is about a place that its proposer did not reject",
          "UPDATE activation SET review_state='accepted' WHERE review_state='rejected'"),
    plant("place-suspended", "place_suspension", "and no second person decided it",
          "UPDATE place_suspension SET decided_by_person=proposed_by_person WHERE state='dropped'"),
    plant("place-suspended", "place_suspension", "is lifted, and no second person decided it",
          "UPDATE place_suspension SET lifted_by_person=NULL WHERE state='lifted'"),
    plant("place-suspended", "place_suspension", "suspended its card before the deadline",
          "UPDATE place_suspension SET due_at='2031-01-01 00:00:00.000000', decided_by_person=NULL WHERE state='suspended'"),
]  # fmt: skip
