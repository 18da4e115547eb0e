"""Planted faults, as somebody with the database's password could make them. Others: `plants_of_people.py`, `plants_of_rows.py`."""

from __future__ import annotations

from tests.fsck.plant import Plant, plant
from tests.fsck.plants_of_orders import ORDERS
from tests.fsck.plants_of_people import PEOPLE, SECRETS
from tests.fsck.plants_of_programs import PROGRAMS
from tests.fsck.plants_of_rows import ROWS

NOBODY = "00000000000000000000000000000001"
BANGLI = "{some organisation region_code='51.06'}"
MANDIRI = "{some organisation kind='institution'}"
DESTROYED = "{some card state='destroyed'}"
LATE = "(SELECT card_id FROM token WHERE state='issued' ORDER BY id LIMIT 1)"
ENTRY = "(SELECT id FROM audit_entry ORDER BY id DESC LIMIT 1)"

TOKENS = [
    plant("token-once", "token", "was redeemed by 2 activations",
          "INSERT INTO activation SELECT * FROM activation WHERE id = {some activation}", loosen=("activation",)),
    plant("token-redeemed", "token", "is redeemed, but no activation used it",
          "UPDATE token SET state='redeemed' WHERE id = {some token state='cancelled'}"),
    plant("token-redeemed", "token", "is cancelled, but an activation used it",
          "UPDATE token SET state='cancelled' WHERE id = {some token state='redeemed'}"),
    plant("token-machines", "activation_request", "has 3 tokens for 1 approved machines",
          "UPDATE activation_request SET machines=1 WHERE state='approved'"),
    plant("token-count", "activation_request", "counts 0 redeemed tokens, there are",
          "UPDATE activation_request SET redeemed=0 WHERE id = {some activation_request state='completed'}"),
    plant("token-count", "activation_request", "is completed with 1 of 3 tokens redeemed",
          "UPDATE activation_request SET state='completed' WHERE state='approved'"),
    plant("token-approved", "token", "belongs to a request that is rejected",
          "UPDATE activation_request SET state='rejected' WHERE state='approved'"),
    plant("token-approved", "token", "is open, but its request is cancelled",
          "UPDATE activation_request SET state='cancelled' WHERE state='approved'"),
    plant("token-card", "token", "is for a card its request does not name",
          "DELETE FROM activation_request_card WHERE activation_request_id = {some activation_request state='approved'}"),
    plant("token-card", "token", "is another organisation's than its request",
          f"UPDATE token SET organisation_id={BANGLI} WHERE state='issued'"),
    plant("token-card", "activation", "used a token of another card or another request",
          "UPDATE activation SET card_id={some card state='personalised'} WHERE id = {some activation}"),
    plant("token-tries", "token", "is issued after 5 wrong tries", "UPDATE token SET tries=5 WHERE id = {some token state='issued'}"),
    plant("token-of-broken-card", "token", "is damaged", f"UPDATE card SET state='damaged' WHERE id = {LATE}"),
    plant("token-opens", "token", "does not authenticate for its request and card",
          "UPDATE token SET mac=(SELECT mac FROM token WHERE state='redeemed' ORDER BY id LIMIT 1) WHERE id = {some token state='issued'}"),
    plant("token-opens", "token", "does not authenticate for its request and card",
          "UPDATE token SET card_id={some card state='personalised'} WHERE id = {some token state='issued'}"),
    plant("token-opens", "token", "does not open",
          "UPDATE token SET sealed=(SELECT sealed FROM token WHERE state='redeemed' ORDER BY id LIMIT 1) WHERE id = {some token state='issued'}"),
    plant("token-opens", "token", "does not open", f"UPDATE token SET organisation_id={BANGLI} WHERE state='issued'"),
]  # fmt: skip

MANIFESTS = [
    plant("manifest-complete", "manifest", "has no activation of its own",
          f"UPDATE manifest SET activation_id='{NOBODY}' WHERE id = {{some manifest}}"),
    plant("manifest-complete", "manifest", "has no audit entry of its activation",
          "DELETE FROM audit_entry WHERE id = {some audit_entry action='activation.create'}"),
    plant("manifest-complete", "manifest", "does not have the status index reserved with its token",
          "UPDATE manifest SET status_index=9999 WHERE id = {some manifest}"),
    plant("activation-complete", "activation", "has no manifest", "DELETE FROM manifest WHERE id = {some manifest}"),
    plant("activation-complete", "audit_entry", "which is not there", "DELETE FROM activation WHERE id = {some activation}"),
    plant("manifest-one", "card", "has 2 standing manifests", "DROP INDEX uq_manifest_standing",
          "UPDATE manifest SET state='active' WHERE state='superseded'"),
    plant("manifest-card", "card", "is active without an active manifest",
          "UPDATE manifest SET state='superseded' WHERE id = {some manifest state='active'}"),
    plant("manifest-card", "manifest", "is active, but its card",
          "UPDATE card SET state='received' WHERE id = {some card state='active'}"),
    plant("manifest-chain", "manifest", "does not carry the hash of the manifest before it",
          "UPDATE manifest SET previous_hash='x' WHERE seq=2"),
    plant("manifest-chain", "manifest", "does not carry the hash of the manifest before it",
          "UPDATE manifest SET payload_hash='x' WHERE state='superseded'"),
    plant("manifest-chain", "manifest", "has sequence 7 as the card's manifest number 2", "UPDATE manifest SET seq=7 WHERE seq=2"),
    plant("manifest-chain", "card", "has sequence 9, its newest manifest another",
          "UPDATE card SET seq=9 WHERE id = {some card state='active'}"),
    plant("manifest-times", "manifest", "ends before it begins",
          "UPDATE manifest SET expires_at=issued_at WHERE id = {some manifest}"),
    plant("manifest-times", "manifest", "was expired before its time",
          "UPDATE manifest SET state='expired' WHERE id = {some manifest state='active'}"),
    plant("manifest-revoked", "manifest", "is revoked without an executed proposal", "DELETE FROM revocation"),
    plant("manifest-verifies", "manifest", "does not open",
          "UPDATE manifest SET sealed_body=(SELECT sealed_body FROM manifest WHERE seq=2) WHERE id = {some manifest seq=1}"),
    plant("manifest-verifies", "manifest", "is signed by no manifest key",
          "UPDATE manifest SET kid='x' WHERE id = {some manifest}"),
    plant("manifest-verifies", "manifest", "is refused by the verifier: wrong-card",
          "UPDATE card SET uid='30154B0100000000' WHERE id = {some card state='active'}"),
    *(
        plant("manifest-verifies", "manifest", f"says another {what} than its row", f"UPDATE {change}")
        for what, change in (
            ("seq", "manifest SET seq=7 WHERE seq=2"), ("epoch", "manifest SET epoch=2"), ("place", "activation SET latitude_e7=latitude_e7+1"),
            ("place", "activation SET region_code='35.20.06.1013'"), ("unit", "unit SET pcid='0000000000000000000000000000000A'"
             " WHERE id = (SELECT unit_id FROM card WHERE state='active' ORDER BY id LIMIT 1)"),
            ("conf", "unit SET pcid='0000000000000000000000000000000A' WHERE id = (SELECT unit_id FROM card WHERE state='active'"
             " ORDER BY id LIMIT 1)"),
            ("key check value", "card SET kcv='000000' WHERE state='active'"), ("fn", "card SET function='R' WHERE function='RW'"),
            ("prev", "manifest SET previous_hash='x' WHERE seq=2"), ("payload hash", "manifest SET payload_hash='x' WHERE seq=2"),
            ("status", "manifest SET status_index=9999 WHERE seq=2"), ("exp", "manifest SET expires_at=refuse_after WHERE seq=2"),
            ("grace", "manifest SET refuse_after=expires_at WHERE seq=2"), ("iat", "manifest SET issued_at=expires_at WHERE seq=2"),
            ("org", f"manifest SET organisation_id={MANDIRI} WHERE seq=2"),
            ("card", "card SET personalisation_request_id={some personalisation_request state='rejected'} WHERE state='active'"),
        )
    ),
    plant("status-index", "status_list", "has given out", "UPDATE status_list SET next_index=next_index+1"),
    plant("status-index", "status_list", "has given index 0 to 2 tokens",
          "UPDATE token SET status_index=0 WHERE id = {some token state='issued'}", loosen=("token",)),
    plant("status-signed", "status_list", "says another number or sequence than its row", "UPDATE published_status_list SET seq=seq+100"),
    plant("status-signed", "status_list", "does not verify",
          "UPDATE published_status_list SET jws=substr(jws, 1, length(jws) - 8) || 'AAAAAAAA'"),
    plant("status-agrees", "manifest", "is active, but status list 1 says revoked",
          "UPDATE manifest SET state='active' WHERE id = {some manifest state='revoked'}",
          "UPDATE status_list SET changes=changes+1"),
    plant("status-agrees", "manifest", "is revoked, but status list 1 says valid",
          "UPDATE manifest SET state='revoked' WHERE id = {some manifest state='active'}"),
]  # fmt: skip

CARDS = [
    plant("card-one-per-unit", "unit", "living cards", "DROP INDEX uq_card_living_unit",
          "UPDATE card SET unit_id=(SELECT unit_id FROM card WHERE state='active' ORDER BY id LIMIT 1) WHERE state='active'"),
    plant("card-one-per-unit", "card", "is active in no unit", "UPDATE card SET unit_id=NULL WHERE id = {some card state='active'}"),
    plant("card-one-per-unit", "card", "is for RW, its unit for R", "UPDATE unit SET function='R'"),
    plant("card-in-its-unit", "card", "is tied to another unit than its manifest opens",
          "UPDATE card SET unit_id={some unit hardware_number='HW-LAGI'} WHERE id = {some card state='active'}"),
    plant("card-approved", "card", "was not born of an approved request",
          "UPDATE personalisation_request SET state='rejected' WHERE state='completed'"),
    plant("card-destroyed-for-good", "card", "was destroyed, and became received afterwards",
          "INSERT INTO history (object_kind, object_id, from_state, to_state, at, user_id, note, act_id) SELECT object_kind, object_id,"
          " 'destroyed', 'received', at, user_id, note, act_id FROM history WHERE object_kind='card' AND to_state='destroyed'"),
    *(
        plant("card-destroyed-for-good", "card", f"got a new {kind} afterwards", f"UPDATE {table} SET card_id={DESTROYED} WHERE {where}")
        for kind, table, where in (
            ("token", "token", "id = {some token state='issued'}"), ("manifest", "manifest", "seq=2"),
            ("handover", "handover_card", "handover_id = {some handover state='issued'}"),
            ("activation request", "activation_request_card", f"card_id = {LATE}"),
        )
    ),
    plant("card-destroyed-for-good", "card", "got a new destruction afterwards",
          "INSERT INTO history (object_kind, object_id, from_state, to_state, at, user_id, note, act_id) SELECT object_kind, object_id,"
          " '', 'proposed', at, user_id, note, act_id FROM history WHERE object_kind='destruction' AND from_state=''"),
    plant("card-destroyed-for-good", "card", "is destroyed, and its manifest stands",
          f"UPDATE manifest SET state='active' WHERE card_id = {DESTROYED}"),
    plant("destroyed-with-record", "card", "is destroyed, and no executed destruction names it", "UPDATE destruction SET state='approved'"),
    plant("destroyed-with-record", "card", "is destroyed, and no executed destruction names it",
          "UPDATE card SET state='destroyed' WHERE id = {some card state='locked'}"),
    plant("destroyed-with-record", "destruction", "is executed, but its card",
          f"UPDATE card SET state='locked' WHERE id = {DESTROYED}"),
    *(plant("record-complete", "destruction", f"is executed without its {column}", f"UPDATE destruction SET {column}=NULL")
      for column in ("number", "place", "executed_at", "official_name", "record_digest", "recorded_by_person")),
    plant("record-complete", "destruction", "is executed before 1 witnesses, two are needed",
          "DELETE FROM destruction_witness WHERE position=1"),
    plant("record-complete", "destruction", "is executed before 1 witnesses, two are needed",
          "UPDATE destruction_witness SET id_kind=(SELECT official_id_kind FROM destruction),"
          " id_number=(SELECT official_id_number FROM destruction) WHERE position=1"),
    plant("record-complete", "destruction", "is executed without a photo", "DELETE FROM destruction_photo"),
    plant("card-photo", "card", "has a photo that came with no report on it", "UPDATE card_photo SET card_id = {some card state='locked'}"),
    plant("record-after-approval", "destruction", "was executed before it was approved",
          "UPDATE destruction SET executed_at='2020-01-01 00:00:00.000000'"),
    plant("record-after-approval", "destruction", "was verified by nobody",
          "UPDATE destruction SET verified_by_person=recorded_by_person"),
    plant("holder-chain", "card", "was handed over by an organisation that did not hold it",
          f"UPDATE handover SET issuer_id={BANGLI} WHERE id = {{some handover state='received'}}"),
    plant("holder-chain", "card", "is not held by the last organisation that received it",
          f"UPDATE card SET holder_id={MANDIRI} WHERE id = {{some card state='active'}}"),
    plant("holder-chain", "card", "is held by an organisation that never received it",
          f"UPDATE card SET holder_id={BANGLI} WHERE id = {{some card state='personalised'}}"),
    plant("holder-on-the-way", "card", "is handed over with 0 open handovers",
          "UPDATE card SET state='handed_over' WHERE id = {some card state='personalised'}"),
    plant("handover-digest", "handover", "does not say what its digest says", "UPDATE handover SET notes='lain' WHERE id = {some handover}"),
    plant("handover-digest", "handover", "does not say what its digest says",
          "DELETE FROM handover_card WHERE handover_id = {some handover}"),
    plant("handover-digest", "handover", "does not say what its digest says",
          "UPDATE handover_signatory SET name='lain' WHERE side='issuer'"),
    plant("handover-digest", "handover", "does not say what its digest says",
          "UPDATE handover_card SET machine='HW-LAIN' WHERE handover_id = {some handover}"),
    plant("paper-stored", "handover", "has no paper",
          "DELETE FROM issued_paper WHERE object_id IN (SELECT id FROM handover ORDER BY id DESC LIMIT 1)"),
    plant("paper-states", "issued_paper", "is of no handover with its digest",
          "UPDATE issued_paper SET digest='x' WHERE object_kind='handover'"),
    plant("paper-states", "issued_paper", "is of no destruction with its digest",
          "UPDATE issued_paper SET object_kind='destruction' WHERE object_id = {some handover}"),
    plant("paper-recorded", "issued_paper", "is another file than the record of acts names",
          "UPDATE issued_paper SET document_id={some document kind='letter'} WHERE object_id = {some handover}"),
    plant("change-document", "reference_change", "has another PDF than its content names",
          "UPDATE reference_change SET document_id={some document kind='letter'} WHERE id = {some reference_change}"),
    plant("batch-conserved", "personalisation_request", "cards over all states",
          "DELETE FROM card WHERE id = {some card state='personalised'}"),
    plant("batch-quantity", "personalisation_request", "is completed with",
          "UPDATE personalisation_request SET quantity=quantity+1 WHERE id = {some personalisation_request state='completed'}"),
    plant("batch-quantity", "personalisation_request", "is personalising with 1 personalised cards of 1",
          "UPDATE personalisation_request SET quantity=1 WHERE state='personalising'"),
    plant("batch-rows", "personalisation_request", "its batch has 0 rows", "DELETE FROM batch_row"),
    plant("batch-rows", "activation_request", "machines and names",
          "DELETE FROM activation_request_card WHERE card_id = {some card state='active'}"),
    plant("batch-results", "card", "was personalised without a result", "DELETE FROM personalisation_result"),
    plant("batch-results", "card", "has a result, but was never personalised",
          "DELETE FROM history WHERE id = {some history to_state='personalised'}"),
]  # fmt: skip

_ONE_HUMAN = "UPDATE person SET id_kind='nip', id_number='197001011995031001' WHERE id IN"
APPROVALS = [
    *(
        plant("four-eyes", table, "was approved by the person who submitted it",
              f"UPDATE {table} SET submitted_by_person=(SELECT person_id FROM {approvals} ORDER BY id LIMIT 1)")
        for table, approvals in (("personalisation_request", "personalisation_approval"), ("activation_request", "activation_approval"),
                                 ("destruction", "destruction_approval"), ("model_case", "model_case_approval"))
    ),
    plant("four-eyes", "personalisation_request", "was approved by the person who submitted it",
          f"{_ONE_HUMAN} (SELECT person_id FROM personalisation_approval UNION SELECT submitted_by_person FROM personalisation_request)"),
    plant("four-eyes", "revocation", "was executed by nobody", "UPDATE revocation SET decided_by_person=proposed_by_person"),
    plant("four-eyes", "reference_change", "was executed by nobody",
          "UPDATE reference_change SET decided_by_person=proposed_by_person WHERE state='executed'"),
    plant("lost-factor", "user_change", "made no link for its account", "DELETE FROM invitation WHERE change_id IS NOT NULL"),
    plant("lost-factor", "invitation", "is of a proposal that was not executed", "UPDATE user_change SET state='rejected' WHERE change='factor'"),
    plant("lost-factor", "user_change", "of the person who proposed or decided it",
          "UPDATE user_change SET proposed_by_person=(SELECT person_id FROM user_account WHERE username='bpjs.kepala') WHERE change='factor'"),
    *(plant("lost-factor", table, "counts after its account's second factor was given up",
            f"UPDATE {table} SET ended_at=NULL WHERE user_id=(SELECT id FROM user_account WHERE username='bpjs.kepala')")
      for table in ("passkey", "recovery_code", "login_session")),
    plant("messages-wiped", "message", "still has its text", "UPDATE outbox_message SET state='sent' WHERE purpose='reminder'"),
    plant("messages-wiped", "message", "still has its text", "UPDATE outbox_message SET purpose='code' WHERE purpose='reminder'"),
    plant("four-eyes", "user_change", "was executed by nobody", "UPDATE user_change SET decided_by_person=NULL"),
    plant("approvals-enough", "personalisation_request", "with 1 of 2 approvals of what was submitted",
          "DELETE FROM personalisation_approval WHERE id = {some personalisation_approval}"),
    plant("approvals-enough", "personalisation_request", "with 1 of 2 approvals of what was submitted",
          f"{_ONE_HUMAN} (SELECT person_id FROM personalisation_approval)"),
    plant("approvals-enough", "destruction", "with 0 of 1 approvals of what was submitted",
          "UPDATE destruction_approval SET digest='" + "0" * 64 + "'"),
    plant("approvals-enough", "activation_request", "is for RW and asks for one approver only",
          "UPDATE activation_request SET required_approvals=1", loosen=("activation_request",)),
    plant("approval-seen", "activation_approval", "is of a digest that was never submitted",
          "UPDATE activation_approval SET digest='" + "0" * 64 + "' WHERE id = {some activation_approval}"),
    plant("approval-seen", "activation_approval", "is not the approval its audit entry records",
          f"UPDATE activation_approval SET act_id={ENTRY} WHERE id = {{some activation_approval}}"),
    plant("approver-account", "destruction_approval", "not its person's, or not the directorate's",
          "UPDATE destruction_approval SET user_id={some user_account username='magetan.kepala'}"),
    plant("submitted-content", "activation_request", "is not what was submitted", "UPDATE activation_request SET subject='lain'"),
    plant("submitted-content", "activation_request", "is not what was submitted",
          "DELETE FROM activation_request_card WHERE activation_request_id = {some activation_request state='approved'}"),
    plant("submitted-content", "personalisation_request", "is not what was submitted", "UPDATE batch_row SET pcid='" + "A" * 32 + "'"),
    plant("submitted-content", "personalisation_request", "is not what was submitted", "UPDATE document SET sha256='" + "0" * 64 + "'"),
    plant("submitted-content", "destruction", "is not what was submitted", "UPDATE destruction SET notes='lain'"),
    plant("submitted-content", "model_case", "is not what was submitted", "UPDATE model_certificate SET valid_until='2040-01-01'"),
    plant("proposed-rows", "reference_change", "does not hold the rows its digest was made of", "UPDATE reference_change SET count=7"),
    plant("proposed-rows", "reference_change", "does not hold the rows its digest was made of",
          "UPDATE reference_change SET content='{\"rows\": []}'"),
    plant("proposed-rows", "reference_change", "has a digest that was never proposed",
          "UPDATE reference_change SET digest='" + "0" * 64 + "'"),
    plant("model-certificate", "model_case", "is certified without a certificate of its kind", "DELETE FROM model_certificate"),
    plant("model-certificate", "model_case", "is certified without a certificate of its kind",
          "UPDATE model_case SET kind='testing' WHERE state='certified'"),
    plant("model-certificate", "model_certificate", "of 2999 where 3000 was the least",
          "UPDATE model_certificate SET tkdn_e2=2999 WHERE kind='tkdn'", loosen=("model_certificate",)),
    plant("model-maker", "model_case", "is for a model of another manufacturer",
          "UPDATE model_case SET model_id={some device_model name='LEN-CRD-1'} WHERE state='certified'"),
]  # fmt: skip

HISTORIES = [
    *(
        plant("state-last-step", table, "its last step led to", f"UPDATE {table} SET state='{state}'")
        for table, state in (("personalisation_request", "cancelled"), ("card", "lost"), ("handover", "refused"),
                             ("activation_request", "expired"), ("token", "expired"), ("destruction", "rejected"),
                             ("model_case", "rejected"), ("reference_change", "rejected"), ("revocation", "rejected"),
                             ("user_change", "rejected"))
    ),
    plant("state-last-step", "manifest", "its last step led to", f"UPDATE manifest SET act_id={ENTRY}"),
    plant("steps-in-table", "card", "went from 'registered' to 'active', which the table does not allow",
          "UPDATE history SET to_state='active' WHERE object_kind='card' AND to_state='personalised'"),
    plant("steps-in-table", "token", "went from '' to 'redeemed'",
          "UPDATE history SET to_state='redeemed' WHERE object_kind='token' AND from_state=''"),
    plant("steps-in-table", "history", "is of a kind (kartu) that has no life", "UPDATE history SET object_kind='kartu' WHERE object_kind='card'"),
    plant("steps-join", "history", "begins at 'lost', the step before it ended at",
          "UPDATE history SET from_state='lost' WHERE id = {some history to_state='active'}"),
    plant("steps-join", "history", "begins at 'registered', the step before it ended at ''",
          "DELETE FROM history WHERE object_kind='card' AND from_state=''"),
    plant("history-object", "handover", "has a history and is not there", "DELETE FROM handover WHERE id = {some handover}"),
    plant("step-act", "history", "has no audit entry", "DELETE FROM audit_entry WHERE id = {some audit_entry action='card.report'}"),
    plant("step-act", "history", "moment or user differ", "UPDATE history SET at='2020-01-01 00:00:00.000000' WHERE id = {some history}"),
    plant("step-act", "history", "moment or user differ",
          f"UPDATE audit_entry SET user_id='{NOBODY}' WHERE id = {{some audit_entry action='card.report'}}"),
    plant("step-act", "card", "by the act user.password, which does not lead there",
          "UPDATE audit_entry SET action='user.password' WHERE action='card.report'"),
    plant("step-act", "revocation", "became proposed by the act user.password, which does not lead there",
          "UPDATE audit_entry SET action='user.password' WHERE action='manifest.revoke_propose'"),
    plant("step-act", "user_change", "on another one (x)", "UPDATE audit_entry SET object_id='x' WHERE action='user.change_approve'"),
    plant("step-act", "card", "on another one (x)", "UPDATE audit_entry SET object_id='x' WHERE action='card.report'"),
    plant("act-step", "audit_entry", "moved nothing",
          "DELETE FROM history WHERE act_id IN (SELECT id FROM audit_entry WHERE action='card.report')"),
    *(
        plant("act-step", "audit_entry", f"({action} of", f"DELETE FROM history WHERE object_kind='{kind}'")
        for kind, action in (("revocation", "manifest.revoke_propose"), ("user_change", "user.change_propose"))
    ),
    plant("field-notes", "audit_entry", "says other notes on fields than are kept", "UPDATE field_note SET note='lain'"),
    plant("field-notes", "audit_entry", "says other notes on fields than are kept", "DELETE FROM field_note"),
    plant("field-notes", "field_note", "goes with no step that returned something", f"UPDATE field_note SET act_id={ENTRY}"),
    *(
        plant("act-exists", table, "names an act that is not recorded", f"UPDATE {table} SET act_id='{NOBODY}'")
        for table in ("personalisation_result", "personalisation_approval", "activation_approval", "destruction_approval", "activation",
                      "model_case_approval", "field_note")
    ),
    plant("audit-action", "audit_entry", "is of the action card.vanish, which does not exist",
          "UPDATE audit_entry SET action='card.vanish' WHERE action='card.report'"),
    plant("audit-person", "audit_entry", "do not belong together",
          "UPDATE audit_entry SET person_id={some person} WHERE action='card.report'"),
    plant("log-tree", "log", "is not what was logged there", "UPDATE audit_entry SET ip='' WHERE action='card.report'"),
    plant("log-tree", "log", "its tail was cut", "DELETE FROM log_leaf WHERE seq > 20"),
    plant("log-tree", "log", "never came into the log", "DELETE FROM audit_pending"),
]  # fmt: skip

TIMES = [
    *(plant("time-present", kind, "after the present", f"UPDATE {kind} SET at='2031-01-01 00:00:00'") for kind in ("activation", "log_checkpoint", "audit_entry")),
    *(plant("time-present", kind, "after the present", f"UPDATE {table} SET issued_at='2031-01-01 00:00:00'") for kind, table in (("manifest", "manifest"), ("status_list", "published_status_list"))),
    plant("time-trusted", "trusted_time", "after the present", "UPDATE trusted_time SET at='2031-01-01 00:00:00'"),
    plant("clock-accepted", "clock_stop", "was ended by 0 of them", "DELETE FROM audit_entry WHERE action = 'clock.accept'"),
]  # fmt: skip

PLANTS: list[Plant] = [*TIMES, *TOKENS, *MANIFESTS, *CARDS, *APPROVALS, *HISTORIES, *PEOPLE, *PROGRAMS, *ORDERS, *ROWS, *SECRETS]
