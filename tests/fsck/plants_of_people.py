"""Planted faults of organisations, people and their accounts, and of what must be secret."""

from __future__ import annotations

from tests.fsck.plant import plant

BANGLI = "{some organisation region_code='51.06'}"
MANDIRI = "{some organisation kind='institution'}"
ENTRY = "(SELECT id FROM audit_entry ORDER BY id DESC LIMIT 1)"
JWS = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"

PLANTED, ADDED = "0" * 31 + "5", "00000000-0000-0000-0000-000000000005"
SESSION = "user_id, csrf, otp_at, otp_tries, created_at, last_seen_at, end_reason, ip, agent, authority_version, seal"
KEY = "organisation_id, name, prefix, created_by, created_at, seal"
PASSKEY = "user_id, name, public_key, sign_count, created_at, seal"

_USED = "(SELECT object_id FROM audit_entry WHERE action='user.disable' LIMIT 1)"
_BY_ADMIN1 = "created_by=(SELECT id FROM user_account WHERE username='admin1')"
_OF_ADMIN1 = "user_id=(SELECT id FROM user_account WHERE username='admin1')"
PEOPLE = [
    plant("otp-once", "user", "used the code of step 1 2 times",
          "UPDATE audit_entry SET data='{\"step\": 1}' WHERE action IN ('session.started', 'session.stepped_up')"),
    plant("otp-once", "user", "has step 0 as its newest, and used step", "UPDATE user_account SET totp_last_step=0"),
    plant("otp-once", "user", "has used the code of step 99999999, which has not come yet", "UPDATE user_account SET totp_last_step=99999999"),
    plant("disabled-acts", "user", "was disabled, and acted afterwards",
          f"UPDATE audit_entry SET user_id={{some user_account state='disabled'}} WHERE id = {ENTRY}"),
    plant("disabled-acts", "user", "has a session that was never ended",
          "UPDATE login_session SET user_id={some user_account state='disabled'} WHERE id = {some login_session otp_at IS NOT NULL AND ended_at IS NULL}"),
    plant("disabled-acts", "api_key", "was revoked, and used afterwards: activation.create",
          "UPDATE api_key SET revoked_at='2020-01-01 00:00:00.000000'"),
    plant("account-state", "user", "is disabled, the record of acts says otherwise",
          "UPDATE user_account SET state='disabled' WHERE username='len.kepala'"),
    plant("account-state", "user", "is active, the record of acts says otherwise", "UPDATE user_account SET state='active' WHERE state='disabled'"),
    plant("person-once", "person", "has an identity that is not its kind and number", "UPDATE person SET id_kind='nip' WHERE id = {some person}"),
    plant("person-once", "person", "has an identity that is not its organisation and number",
          "UPDATE person SET id_number='x' WHERE id = {some person id_kind='employee'}"),
    plant("person-once", "person", "is another person of the same kind and number", "UPDATE person SET id_kind='nip', id_number='1'"),
    plant("person-once", "person", "has the number of another person of its organisation in another spelling",
          "UPDATE person SET id_kind='employee', identity='employee:' || (CASE WHEN id = {some person} THEN 'a' ELSE 'A' END)"
          " WHERE id IN (SELECT person_id FROM user_account ORDER BY id LIMIT 2)"),
    plant("capabilities", "person", "holds capabilities that never meet in one person",
          "UPDATE user_role SET role='approver' WHERE user_id = (SELECT id FROM user_account WHERE username='operator1')",
          "UPDATE user_account SET person_id=(SELECT person_id FROM user_account WHERE username='admin1') WHERE username='operator1'"),
    plant("capabilities", "person", "holds capabilities that never meet in one person",
          "UPDATE user_account SET person_id=(SELECT person_id FROM user_account WHERE username='auditor1') WHERE username='operator1'"),
    plant("consent", "person", "has 2 accounts to which nobody consented",
          "UPDATE user_account SET person_id=(SELECT person_id FROM user_account WHERE username='penyetuju1') WHERE username='magetan.staf'"),
    plant("consent", "person", "has 2 accounts to which nobody consented", "UPDATE account_consent SET state='refused' WHERE state='accepted'"),
    plant("consent", "user", "is active, and only claims to be a person", "UPDATE user_account SET state='active', password_hash='x', totp_sealed=(SELECT totp_sealed FROM user_account WHERE username='admin1')"
          " WHERE username='y.jatim'"),
    plant("consent", "account_consent", "was accepted by somebody else than the person",
          "UPDATE account_consent SET decided_by={some user_account username='jatim.kepala'} WHERE state='accepted'"),
    plant("consent", "account_consent", "was accepted by somebody else than the person",
          "UPDATE user_change SET state='rejected' WHERE change='person'"),
    plant("person-once", "person", "has an identity that is not its kind and number", "UPDATE person SET claims='employee:x' WHERE claims IS NOT NULL"),
    plant("lost-factor", "user_change", "by somebody whom the proposer had invited lately",
          f"UPDATE invitation SET {_BY_ADMIN1}, user_id=(SELECT id FROM user_account WHERE username='admin2')"),
    plant("lost-factor", "user_change", "by somebody whom the proposer had invited lately",
          f"UPDATE invitation SET created_by=(SELECT id FROM user_account WHERE username='admin2'), {_OF_ADMIN1}"),
    plant("lost-factor", "user_change", "by somebody whom the proposer had invited lately",
          f"UPDATE user_change SET {_OF_ADMIN1}, decided_by_person=(SELECT person_id FROM user_account WHERE username='admin2')"
          " WHERE change='invite'"),
    plant("lost-factor", "user_change", "by heads who were new",
          "UPDATE user_change SET decided_by_person=(SELECT person_id FROM user_account WHERE username='bpjs.kepala') WHERE change='factor'"),
    plant("seed-opens", "user", "has a seed that is not sealed for it",
          "UPDATE user_account SET totp_sealed=(SELECT totp_sealed FROM user_account WHERE username='admin1') WHERE username='operator1'"),
    *(
        plant("row-sealed", kind, "stands, and its seal does not fit", statement)
        for kind, statement in (
            ("user", f"INSERT INTO user_role (id, user_id, role, since) SELECT '{PLANTED}', id, 'operator', created_at FROM user_account"
             " WHERE username='penyetuju1'"),
            ("user", "UPDATE user_role SET until=since WHERE user_id = {some user_account username='operator1'}"),
            ("user", "UPDATE user_account SET state='active', password_hash='x' WHERE state='disabled'"),
            ("user", f"UPDATE user_account SET organisation_id={MANDIRI} WHERE username='admin1'"),
            *(("user", f"UPDATE user_account SET {column}='x' WHERE username='admin1'") for column in ("email", "phone", "password_hash", "username")),
            ("user", "UPDATE user_account SET totp_sealed=(SELECT totp_sealed FROM user_account WHERE username='admin2') WHERE username='admin1'"),
            ("user", "UPDATE user_account SET seal=(SELECT seal FROM user_account WHERE username='admin2') WHERE username='admin1'"),
            ("session", f"INSERT INTO login_session (id, token_hash, {SESSION}) SELECT '{PLANTED}', 'x', {SESSION} FROM login_session"
             " WHERE id = {some login_session ended_at IS NULL}"),
            ("session", "UPDATE login_session SET otp_at=last_seen_at, csrf='x' WHERE ended_at IS NULL"),
            ("session", "UPDATE login_session SET user_id={some user_account username='admin1'} WHERE ended_at IS NULL"),
            ("session", "UPDATE login_session SET ended_at=NULL"),
            ("session", "UPDATE login_session SET authority_version=authority_version+1 WHERE ended_at IS NULL"),
            ("api_key", "UPDATE api_key SET revoked_at=NULL"),
            ("api_key", f"INSERT INTO api_key (id, key_hash, {KEY}) SELECT '{PLANTED}', 'x', {KEY} FROM api_key WHERE id = {{some api_key}}"),
            ("api_key", f"UPDATE api_key SET organisation_id={BANGLI}"),
            ("invitation", "UPDATE invitation SET used_at=NULL, expires_at='2099-01-01 00:00:00+00'"),
            ("passkey", "UPDATE passkey SET ended_at=NULL"),
            ("recovery_code", "UPDATE recovery_code SET ended_at=NULL"),
        )
    ),
    plant("authority-version", "user", "the newest act on it leads to", "UPDATE user_account SET authority_version=authority_version-1"),
    plant("authority-version", "user", "has version 0, the newest act on it leads to", "UPDATE user_account SET authority_version=0"),
    plant("authority-acts", "user", "holds the roles operator, its newest act says approver",
          "UPDATE user_role SET role='operator' WHERE user_id = {some user_account username='penyetuju1'}"),
    plant("authority-acts", "api_key", "stands, and an act ended it", "UPDATE api_key SET revoked_at=NULL"),
    plant("authority-acts", "api_key", "stands, and no act made it", "DELETE FROM audit_entry WHERE action='api_key.create'"),
    plant("authority-acts", "passkey", "stands, and no act made it", "UPDATE passkey SET ended_at=NULL"),
    plant("authority-acts", "passkey", "stands, and an act ended it",
          f"INSERT INTO passkey (id, credential_id, {PASSKEY}) SELECT '{PLANTED}', CAST('x' AS BLOB), {PASSKEY} FROM passkey"
          " WHERE id = {some passkey}",
          f"UPDATE audit_entry SET action='user.passkey_remove', data='{{\"passkey\": \"{ADDED}\"}}' WHERE id = {ENTRY}"),
    plant("authority-acts", "session", "stands, and an act ended it", "UPDATE login_session SET ended_at=NULL"),
    plant("authority-acts", "invitation", "stands, and its account was taken up since",
          "UPDATE invitation SET used_at=NULL, expires_at='2099-01-01 00:00:00+00'"),
    plant("authority-acts", "invitation", "stands, and no act made it", "DELETE FROM audit_entry WHERE action='user.invite'",
          "UPDATE invitation SET used_at=NULL, expires_at='2099-01-01 00:00:00+00'"),
    plant("authority-acts", "user", "recovery codes that were not used", "UPDATE recovery_code SET ended_at=NULL"),
    *(
        plant("one-organisation", table, f"belongs to another organisation than its {other}",
              f"UPDATE {changed} SET organisation_id={BANGLI}")
        for table, other, changed in (("activation", "unit", "unit"), ("activation", "token", "token"),
                                      ("activation", "activation request", "activation_request"))
    ),
    plant("one-organisation", "manifest", "belongs to another organisation than its activation",
          f"UPDATE manifest SET organisation_id={BANGLI}"),
    plant("one-organisation", "manifest", "belongs to another organisation than its data key",
          "UPDATE manifest SET data_key_id={some data_key}"),
    *(plant("holder-acts", kind, "is of an organisation that does not hold card", f"UPDATE card SET holder_id={MANDIRI}")
      for kind in ("token", "manifest", "destruction")),
    *(
        plant("who-acts", table, "was made with an account of another organisation", f"UPDATE {table} SET {column}={{some user_account}}")
        for table, column in (("activation", "user_id"), ("activation_request", "submitted_by_user"),
                              ("personalisation_request", "submitted_by_user"))
    ),
    plant("who-acts", "handover", "was made with an account of another organisation",
          "UPDATE handover SET issued_by={some user_account username='bangli.kepala'}"),
    plant("who-acts", "activation", "was made with a key of another organisation",
          f"UPDATE api_key SET organisation_id={BANGLI}"),
    plant("batch-buyer", "batch_row", "names a unit that is not the buyer's", f"UPDATE unit SET organisation_id={BANGLI}"),
    plant("batch-buyer", "batch_row", "names a unit of another manufacturer", "UPDATE unit SET model_id={some device_model name='LEN-CRD-1'}"),
    plant("batch-buyer", "card", "is tied to a unit that is not its buyer's", f"UPDATE unit SET organisation_id={BANGLI}"),
    plant("own-documents", "activation_request", "another organisation's document (letter)",
          f"UPDATE document SET organisation_id={BANGLI}"),
    plant("own-documents", "personalisation_request", "another organisation's document (purchase order)",
          f"UPDATE document SET organisation_id={BANGLI}"),
    plant("own-documents", "model_case", "another organisation's document (letter)", f"UPDATE document SET organisation_id={BANGLI}"),
    plant("rw-offices", "unit", "is for RW and not an office's", f"UPDATE unit SET organisation_id={MANDIRI} WHERE function='RW'",),
    plant("rw-offices", "card", "is for RW and not an office's", f"UPDATE card SET buyer_id={MANDIRI}"),
    plant("document-uploader", "document", "was uploaded by an account of another organisation", f"UPDATE document SET organisation_id={BANGLI}"),
]  # fmt: skip

SECRETS = [
    plant("no-secret", "card", "holds a signed or encrypted file (JWS, JWE) in clear in change_note",
          f"UPDATE card SET change_note='{JWS}' WHERE id = {{some card}}"),
    plant("no-secret", "manifest", "in clear in sealed_body",
          f"UPDATE manifest SET sealed_body=CAST('{JWS}' AS BLOB) WHERE id = {{some manifest}}"),
    plant("no-secret", "audit_entry", "holds an API key in clear in data",
          "UPDATE audit_entry SET data='{\"note\": \"sf_" + "a" * 43 + f"\"}}' WHERE id = {ENTRY}"),
    plant("no-secret", "user_account", "holds an authenticator's seed in clear in notices",
          "UPDATE user_account SET notices='JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP' WHERE username='admin1'"),
    plant("no-secret", "login_session", "holds an authenticator's address in clear in agent",
          "UPDATE login_session SET agent='otpauth://totp/x?secret=y' WHERE id = {some login_session}"),
    plant("no-secret", "device_model", "holds a private key in clear in name",
          "UPDATE device_model SET name='-----BEGIN PRIVATE KEY-----' WHERE id = {some device_model}"),
    plant("no-secret-facts", "audit_entry", "has a fact called token", f"UPDATE audit_entry SET data='{{\"token\": \"x\"}}' WHERE id = {ENTRY}"),
    plant("hashed", "user", "has a password that is not kept by argon2id", "UPDATE user_account SET password_hash='rahasia' WHERE username='admin1'"),
    *(plant("hashed", table, "is not kept as a SHA-256", f"UPDATE {table} SET {column}='kunci' WHERE id = {{some {table}}}")
      for table, column in (("login_session", "token_hash"), ("invitation", "token_hash"), ("api_key", "key_hash"))),
    plant("sealed", "token", "has a sealed of a wrong length", "UPDATE token SET sealed=mac WHERE id = {some token}"),
    plant("sealed", "user", "has a totp_sealed of a wrong length", "UPDATE user_account SET totp_sealed=(SELECT mac FROM token LIMIT 1)"),
    plant("sealed", "unit", "has registered a private key", "UPDATE unit SET public_jwk='{\"d\": \"x\"}' WHERE id = {some unit}"),
    plant("sealed", "unit", "has a public key of more than",
          "UPDATE unit SET public_jwk=REPLACE('{\"x5c\": \"=\"}', '=', '" + "A" * 5000 + "'){json} WHERE id = {some unit}"),
    plant("no-token", "card", "holds a token in clear in change_note",
          "UPDATE card SET change_note='token: ' || :token || '.' WHERE id = {some card}"),
    plant("no-token", "audit_entry", "holds a token in clear in data",
          f"UPDATE audit_entry SET data=REPLACE('{{\"note\": \"=\"}}', '=', :token){{json}} WHERE id = {ENTRY}"),
    plant("idempotency-answer", "idempotency_key", "is done with status 201 and has no answer", "UPDATE idempotency_key SET body=''"),
    plant("idempotency-answer", "idempotency_key", "is done with status 500 and has no answer", "UPDATE idempotency_key SET status=500"),
    plant("idempotency-answer", "idempotency_key", "is not done, and has an answer", "UPDATE idempotency_key SET status=0"),
    plant("idempotency-answer", "idempotency_key", "was claimed 2 times by one actor",
          "INSERT INTO idempotency_key SELECT * FROM idempotency_key", loosen=("idempotency_key",)),
    plant("job-counts", "job", "counts 2 rows, 1 of them failed; 3 have a result, 1 of them errors",
          "UPDATE job SET done=2 WHERE state='completed'"),
    plant("job-counts", "job", "counts 3 rows, 0 of them failed", "UPDATE job SET failed=0 WHERE state='completed'"),
    plant("job-counts", "job", "is completed with 3 of 4 rows", "UPDATE job SET total=4 WHERE state='completed'"),
    plant("job-counts", "job", "counts 0 rows, 0 of them failed; 1 have a result",
          "UPDATE job_row SET job_id={some job state='queued'} WHERE number = (SELECT MIN(number) FROM job_row)"),
    plant("job-file", "job", "is completed, and keeps a sealed file",
          "UPDATE job SET sealed=(SELECT sealed FROM token ORDER BY id LIMIT 1) WHERE state='completed'", loosen=("job",)),
    plant("job-file", "job", "is gone before it", "UPDATE job_line SET secret=NULL"),
    plant("job-file", "job", "is kept beyond it", "UPDATE job SET state='cancelled', ended_at=created_at WHERE state='queued'"),
    plant("job-lines", "job", "is queued with 0 of 1 rows done, and 0 wait", "DELETE FROM job_line"),
    plant("job-lines", "job", "has a result for row",
          "INSERT INTO job_line (job_id, number, cells) SELECT job_id, number, cells FROM job_row WHERE is_failed"),
    plant("job-idle", "job", "still has a worker", "UPDATE job SET taken_by='x' WHERE state='completed'"),
    plant("job-result", "job_row", "has a result that is no activation of its organisation",
          "UPDATE job_row SET result_id={some card} WHERE number = (SELECT MIN(number) FROM job_row)"),
    plant("job-result", "job_row", "has a result that is no activation of its organisation",
          f"UPDATE job SET organisation_id={BANGLI} WHERE state='completed'"),
    plant("job-result", "job_row", "has a result that another made",
          "UPDATE activation SET user_id={some user_account} WHERE id IN (SELECT result_id FROM job_row)"),
    plant("region-parent", "region", "does not have its parent (99)", "UPDATE region SET parent_code='99' WHERE code='35.20'"),
    plant("region-parent", "region", "has level 4, which is not that of its length", "UPDATE region SET level=4 WHERE code='35.20'"),
    plant("region-known", "activation", "stands in 99.99.99.9999, which is no known village",
          "UPDATE activation SET region_code='99.99.99.9999' WHERE id = {some activation}"),
    plant("region-known", "organisation", "belongs to 99, which is not known", "UPDATE organisation SET region_code='99' WHERE region_code='35'"),
    plant("place-outcome", "activation", "and the review none", "UPDATE activation SET review_state='none'"),
    plant("schema-head", "schema", "uq_card_living_unit", "DROP INDEX uq_card_living_unit"),
    plant("schema-head", "schema", "is not the code's", "UPDATE alembic_version SET version_num='0000'"),
    plant("schema-head", "rule", "is missing: the database does not refuse what it should", "{no triggers}"),
]  # fmt: skip
