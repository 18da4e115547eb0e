// A second verifier of manifests, written from docs/manifest.md alone. It needs Node 18 or later and no package.
//
//   import { verify, verifyKeyset, verifyRootChange } from "./verifier.mjs";
//   node verifier.mjs FOLDER [NAME …]     answers the vectors of the folder; exit 1 if an answer differs from index.json

import { createHash, createPublicKey, verify as verifySignature } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inflateSync } from "node:zlib";

const FILE_LIMIT = 6485; // bytes of a manifest's file
const PAYLOAD_LIMIT = 4096; // bytes of its payload
const KEYSET_LIMIT = 65536; // bytes of a keyset's file
const LIST_FILE_LIMIT = 3145728; // bytes of a status list's file
const LIST_TEXT_LIMIT = 2097152; // characters of its member lst
const LIST_LIMIT = 1048576; // bytes that lst inflates to
const TOLERANCE = 300n; // seconds that this clock may be behind the issuer's
const MAX_INT = 2n ** 53n - 1n;
const SPKI_HEAD = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");

/** The end of a verification. `reason` is one of the sixteen of the document. */
class Refusal extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** Throw unless the condition holds. The caller knows the reason. */
function need(condition, what) {
  if (!condition) throw new Error(what);
}

/** Run a check. Whatever it throws is a refusal for this reason. */
function orRefuse(reason, check) {
  try {
    return check();
  } catch {
    throw new Refusal(reason);
  }
}

function refuseUnless(condition, reason) {
  if (!condition) throw new Refusal(reason);
}

// ---- base64url and JSON ---------------------------------------------------------------------------------------------

/** Decode base64url. Node repairs what is wrong in a text, so the re-encoded bytes must give the same text. */
function base64url(text) {
  const bytes = Buffer.from(text, "base64url");
  need(bytes.toString("base64url") === text, "not base64url without padding");
  return bytes;
}

// One string, word or integer. Of "3.0" and "3e0" this takes the 3; the rest is then no punctuation, and refused.
const TOKEN = /"[^"\\]*(?:\\[^][^"\\]*)*"|true|false|null|-?(?:0|[1-9][0-9]*)/y;

/**
 * Parse one JSON object of the document's profile. Integers become BigInt, so none is rounded; objects have no
 * prototype, so no name is special. JSON.parse is used for single strings only: it hides names that occur twice.
 */
function strictJson(bytes, maxDepth) {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  let at = 0;

  function skipSpace() {
    while (at < text.length && " \t\n\r".includes(text[at])) at += 1;
  }

  /** Take this punctuation if it comes next; say whether it did. */
  function take(mark) {
    skipSpace();
    if (text[at] !== mark) return false;
    at += 1;
    return true;
  }

  function scalar() {
    skipSpace();
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    need(token, "a value is expected");
    at += token.length;
    return /^[-0-9]/.test(token) ? BigInt(token) : JSON.parse(token);
  }

  function items(end, item) {
    if (take(end)) return;
    do item();
    while (take(","));
    need(take(end), "the end is expected");
  }

  function member(object, depth) {
    const name = scalar();
    need(typeof name === "string", "a name is expected");
    need(!(name in object), "a name occurs twice");
    need(take(":"), "a colon is expected");
    object[name] = value(depth);
  }

  function value(depth) {
    const isList = take("[");
    if (!isList && !take("{")) return scalar();
    need(depth < maxDepth, "nested too deeply");
    const result = isList ? [] : Object.create(null);
    if (isList) items("]", () => result.push(value(depth + 1)));
    else items("}", () => member(result, depth + 1));
    return result;
  }

  const top = value(0);
  skipSpace();
  need(at === text.length, "text after the value");
  need(isObject(top), "not an object");
  return top;
}

// ---- JWS ------------------------------------------------------------------------------------------------------------

/** Split a JWS and check its form. Its signature is not verified and its payload not parsed here. */
function splitJws(bytes, typ) {
  const parts = bytes.toString("latin1").split("."); // one character a byte: others than ASCII fail as base64url
  need(parts.length === 3 && parts.every((part) => part !== ""), "not three parts");
  const header = strictJson(base64url(parts[0]), 1);
  need(shape({ alg: oneOf("ES256"), kid: (v) => typeof v === "string", typ: oneOf(typ) })(header), "header");
  const signature = base64url(parts[2]);
  need(signature.length === 64, "the signature's length");
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`, "latin1");
  return { kid: header.kid, signed, payload: base64url(parts[1]), signature };
}

function dropLineEnd(bytes) {
  return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
}

// ---- Forms: each of these makes a function that says whether a value has the form -------------------------------------

const isObject = (v) => typeof v === "object" && v !== null && !Array.isArray(v);
const isNull = (v) => v === null;
const isString = (v) => typeof v === "string" && !/\p{Surrogate}/u.test(v); // with u, a pair is one character and no surrogate
const int = (min, max = MAX_INT) => (v) => typeof v === "bigint" && v >= min && v <= max;
const text = (max) => (v) => isString(v) && v !== "" && v.length <= 2 * max && [...v].length <= max; // code points
const pattern = (regex) => (v) => isString(v) && regex.test(v);
const oneOf = (...values) => (v) => values.includes(v);
const both = (...forms) => (v) => forms.every((form) => form(v));
const either = (...forms) => (v) => forms.some((form) => form(v));

/** An object with exactly these members; those in `optional` may be missing. */
function shape(members, optional = []) {
  return (v) =>
    isObject(v) &&
    Object.keys(v).every((name) => Object.hasOwn(members, name)) &&
    Object.entries(members).every(([name, form]) => (name in v ? form(v[name]) : optional.includes(name)));
}

/** base64url of exactly 32 bytes. */
function is32Bytes(v) {
  return pattern(/^[A-Za-z0-9_-]{43}$/)(v) && Buffer.from(v, "base64url").toString("base64url") === v;
}

const time = int(0n);
const uri = both(text(300), pattern(/^[a-z][a-z0-9+.-]*:/));
const uuid = pattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
const uuid7 = both(uuid, (v) => v[14] === "7");

const manifestMembers = shape({
  ver: int(1n, 1n),
  iss: uri,
  jti: uuid7,
  sub: pattern(/^[0-9A-F]{16}$/),
  fn: oneOf("R", "RW"),
  epoch: int(0n),
  seq: int(1n),
  iat: time,
  nbf: time,
  exp: time,
  grace: int(0n, 31622400n),
  unit: shape({ hw: text(200), model: text(200), pcid: pattern(/^[0-9A-F]{32}$/) }),
  org: shape({
    id: uuid,
    name: text(200),
    kind: oneOf("directorate", "province_office", "regency_office", "institution", "manufacturer"),
  }),
  loc: shape({
    lat_e7: int(-900000000n, 900000000n),
    lon_e7: int(-1800000000n, 1800000000n),
    acc_m: int(0n, 1000000n),
    src: oneOf("device", "map", "typed"),
    at: time,
    code: pattern(/^[0-9]{2}\.[0-9]{2}(\.[0-9]{2}(\.[123][0-9]{3})?)?$/),
  }),
  card: shape({ batch: uuid, keyver: int(1n, 255n), kcv: pattern(/^[0-9A-F]{6}$/) }),
  cfg: shape({ profile: oneOf("pcid-conf/1"), conf: pattern(/^[0-9A-F]{64}$/) }),
  prev: either(isNull, is32Bytes),
  status: shape({ idx: int(0n), uri }),
});
const manifestForm = both(manifestMembers, (m) => m.nbf < m.exp);

const jwkForm = shape({ kty: oneOf("EC"), crv: oneOf("P-256"), x: is32Bytes, y: is32Bytes });
const use = oneOf("manifest", "status", "audit", "document");
const revokedAt = either(isNull, time);
const keyForm = shape({ jwk: jwkForm, use, nbf: time, exp: time, revoked_at: revokedAt }, ["revoked_at"]);
const keysForm = (v) => Array.isArray(v) && v.length >= 1 && v.length <= 64 && v.every(keyForm);
const keysetForm = shape({ version: int(1n), epoch: int(0n), root: jwkForm, keys: keysForm });

const listForm = shape({
  iss: uri,
  list: int(1n),
  seq: int(1n),
  iat: time,
  exp: time,
  bits: int(2n, 2n),
  lst: text(LIST_TEXT_LIMIT),
});

// ---- Keys and keyset ------------------------------------------------------------------------------------------------

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

/** The RFC 7638 thumbprint of a JWK: the `kid` of what it signs. */
function thumbprint({ x, y }) {
  return sha256(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`).toString("base64url");
}

/** The pin of a root: SHA-256 of its SubjectPublicKeyInfo, in lower-case hexadecimal. */
function pinOf({ x, y }) {
  return sha256(Buffer.concat([SPKI_HEAD, base64url(x), base64url(y)])).toString("hex");
}

/** Node's key of a JWK. It throws if the point is not on the curve, or a coordinate not below the prime. */
function publicKey({ x, y }) {
  return createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
}

function fits(jws, jwk) {
  return verifySignature("sha256", jws.signed, { key: publicKey(jwk), dsaEncoding: "ieee-p1363" }, jws.signature);
}

function findKey(keyset, use, kid) {
  return keyset.keys.find((key) => key.use === use && thumbprint(key.jwk) === kid);
}

/** Any value of revoked_at revokes, 0 too. */
function isRevoked(key) {
  return (key.revoked_at ?? null) !== null;
}

/** Say whether exactly one of the lines has this key's `kid`, and its signature fits. */
function signedOnceBy(lines, jwk) {
  const named = lines.filter((line) => line.kid === thumbprint(jwk));
  return named.length === 1 && fits(named[0], jwk);
}

/** Verify a keyset's file but for the pin. */
function readKeyset(file) {
  need(file.length <= KEYSET_LIMIT, "the keyset is too long");
  const texts = dropLineEnd(file).toString("latin1").split("\n");
  need(texts.length <= 2, "too many lines");
  const lines = texts.map((line) => splitJws(Buffer.from(line, "latin1"), "sam-keyset+jws"));
  const keyset = strictJson(lines[0].payload, 5);
  need(keysetForm(keyset), "the keyset's form");
  const jwks = [keyset.root, ...keyset.keys.map((key) => key.jwk)];
  jwks.forEach(publicKey);
  need(new Set(jwks.map(thumbprint)).size === jwks.length, "a key occurs twice");
  need(lines.every((line) => line.payload.equals(lines[0].payload)), "the lines differ");
  need(signedOnceBy(lines, keyset.root), "not signed by its root");
  return { keyset, lines };
}

/** Give the keyset of a file; throw if it is not to be trusted. */
export function verifyKeyset(file, rootSha256) {
  const { keyset } = readKeyset(Buffer.from(file));
  need(pinOf(keyset.root) === rootSha256, "another root");
  return keyset;
}

/** Give the pin of the new root; throw if the root of the keyset that the reader holds does not vouch for it. */
export function verifyRootChange(file, held) {
  const { keyset, lines } = readKeyset(Buffer.from(file));
  need(lines.length === 2 && signedOnceBy(lines, held.root), "the old root did not sign");
  const kids = [keyset.root, ...keyset.keys.map((key) => key.jwk)].map(thumbprint);
  need(!kids.includes(thumbprint(held.root)), "the old root is still in the keyset");
  need(keyset.version > held.version, "version did not rise");
  need(keyset.epoch > held.epoch, "epoch did not rise");
  return pinOf(keyset.root);
}

// ---- Status list ----------------------------------------------------------------------------------------------------

/** Inflate one complete zlib stream with nothing after it; throws at the limit. */
function inflate(bytes) {
  const { buffer, engine } = inflateSync(bytes, { maxOutputLength: LIST_LIMIT, info: true });
  need(engine.bytesWritten === bytes.length, "bytes after the stream");
  return buffer;
}

/** Look the manifest up in a status list: 0, 1 or 2; throw if the list is unusable. */
function lookUp(file, manifest, keyset, at, minStatusSeq) {
  need(file.length <= LIST_FILE_LIMIT, "the list is too long");
  const jws = splitJws(dropLineEnd(file), "sam-status+jws");
  const key = findKey(keyset, "status", jws.kid);
  need(key && !isRevoked(key), "no such key");
  need(fits(jws, key.jwk), "the signature does not fit"); // before the payload is parsed
  const list = strictJson(jws.payload, 4);
  need(listForm(list), "the list's form");
  need(list.seq >= minStatusSeq, "older than one already seen");
  need(list.iss === manifest.iss, "another issuer");
  need(manifest.status.uri.endsWith(`/status/${list.list}.jws`), "another list");
  need(key.nbf <= list.iat && list.iat <= key.exp, "issued outside its key's validity");
  need(list.iat <= at + TOLERANCE, "issued in the future");
  need(at <= list.exp, "past its end");
  const entries = inflate(base64url(list.lst));
  const index = manifest.status.idx;
  need(index < 4n * BigInt(entries.length), "the index lies outside");
  const value = (entries[Number(index / 4n)] >> Number(2n * (index % 4n))) & 3;
  need(value !== 3, "a reserved value");
  return value;
}

// ---- Manifest -------------------------------------------------------------------------------------------------------

const isBelow = (a, b) => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);

/** Check a manifest in the document's order; throw a Refusal at the first failure. */
function check(file, known) {
  refuseUnless(file.length <= FILE_LIMIT, "too-long");
  const jws = orRefuse("malformed", () => splitJws(file, "sam-manifest+jws"));
  const keyset = orRefuse("keyset-not-trusted", () => verifyKeyset(known.keyset, known.rootSha256));
  refuseUnless(keyset.version >= known.minKeysetVersion, "keyset-not-trusted");
  const key = findKey(keyset, "manifest", jws.kid);
  refuseUnless(key, "unknown-key");
  refuseUnless(!isRevoked(key), "revoked-key");
  refuseUnless(fits(jws, key.jwk), "signature-wrong");
  const manifest = orRefuse("payload-not-allowed", () => {
    need(jws.payload.length <= PAYLOAD_LIMIT, "the payload is too long");
    const payload = strictJson(jws.payload, 4);
    need(manifestForm(payload), "the payload's form");
    return payload;
  });
  refuseUnless(key.nbf <= manifest.iat && manifest.iat <= key.exp, "issued-outside-key-validity");
  refuseUnless(known.uid === null || manifest.sub === known.uid, "wrong-card");
  refuseUnless(manifest.epoch <= keyset.epoch, "epoch-not-of-keyset");
  const floor = [known.minEpoch ?? manifest.epoch, known.minSeq];
  refuseUnless(!isBelow([manifest.epoch, manifest.seq], floor), "older-than-seen");
  refuseUnless(manifest.nbf <= known.at + TOLERANCE, "not-yet-valid");
  refuseUnless(known.at <= manifest.exp + manifest.grace, "expired");
  if (known.status !== null) {
    const find = () => lookUp(known.status, manifest, keyset, known.at, known.minStatusSeq);
    const value = orRefuse("status-list-unusable", find);
    refuseUnless(value !== 1, "revoked");
    refuseUnless(value !== 2, "suspended");
  }
  return manifest;
}

/** Check what the reader gives. An input of another form is an error of the program, never "not given". */
function checkedInputs(inputs) {
  const { rootSha256, keyset, status = null, uid = null, minEpoch = null } = inputs;
  const bytes = [keyset, ...(status === null ? [] : [status])];
  if (!bytes.every((v) => v instanceof Uint8Array)) throw new TypeError("keyset, status: bytes");
  if (!/^[0-9a-f]{64}$/.test(rootSha256)) throw new TypeError("rootSha256: 64 lower-case hexadecimal digits");
  if (uid !== null && !/^[0-9A-F]{16}$/.test(uid)) throw new TypeError("uid: 16 upper-case hexadecimal digits");
  return {
    rootSha256,
    keyset,
    status: status === null ? null : Buffer.from(status),
    uid,
    at: BigInt(inputs.at), // throws a TypeError if it is missing
    minEpoch: minEpoch === null ? null : BigInt(minEpoch),
    minSeq: BigInt(inputs.minSeq ?? 0),
    minStatusSeq: BigInt(inputs.minStatusSeq ?? 0),
    minKeysetVersion: BigInt(inputs.minKeysetVersion ?? 0),
  };
}

/**
 * Verify one manifest's file. `inputs`: rootSha256, keyset, at; status, uid, minEpoch, minSeq, minStatusSeq, minKeysetVersion may be
 * missing. The answer is "valid" or a reason. `warning`: past its end, within the grace period. Integers are BigInt.
 */
export function verify(file, inputs) {
  const known = checkedInputs(inputs);
  try {
    const manifest = check(Buffer.from(file), known);
    return { answer: "valid", warning: known.at > manifest.exp, manifest };
  } catch (error) {
    if (error instanceof Refusal) return { answer: error.reason, warning: false, manifest: null };
    throw error;
  }
}

// ---- Program --------------------------------------------------------------------------------------------------------

/** Answer every question of index.json: {vectors: {name: {ours, warning}}, root_changes: {name: pin or null}}. */
function answers(folder, index) {
  const read = (name) => (name === null ? null : readFileSync(join(folder, name)));
  const vectors = {};
  for (const [name, entry] of Object.entries(index.vectors)) {
    const ask = { at: index.at, uid: index.uid, root_sha256: index.root_sha256, ...entry.ask };
    const inputs = {
      rootSha256: ask.root_sha256,
      keyset: read(entry.keyset),
      status: read(entry.status),
      at: ask.at,
      uid: ask.uid,
      minEpoch: ask.min_epoch,
      minSeq: ask.min_seq,
      minStatusSeq: ask.min_status_seq,
      minKeysetVersion: ask.min_keyset_version,
    };
    try {
      const { answer, warning } = verify(read(entry.file), inputs);
      vectors[name] = { ours: answer, warning };
    } catch (error) {
      vectors[name] = { ours: `failed: ${error.message}`, warning: false }; // a fault of the verifier, no refusal
    }
  }
  const changes = {};
  for (const [name, entry] of Object.entries(index.root_changes)) {
    const held = verifyKeyset(read(entry.held), index.root_sha256);
    try {
      changes[name] = verifyRootChange(read(entry.file), held);
    } catch {
      changes[name] = null;
    }
  }
  return { vectors, root_changes: changes };
}

function main(folder, names) {
  const index = JSON.parse(readFileSync(join(folder, "index.json")));
  for (const part of ["vectors", "root_changes"]) {
    const asked = Object.entries(index[part]).filter(([name]) => names.length === 0 || names.includes(name));
    index[part] = Object.fromEntries(asked);
  }
  const found = answers(folder, index);
  console.log(JSON.stringify(found));
  for (const [name, { ours, warning }] of Object.entries(index.vectors)) {
    const got = found.vectors[name];
    if (got.ours !== ours || got.warning !== warning) report(`${name}: ${got.ours}, expected ${ours}`);
  }
  for (const [name, { root_sha256: pin }] of Object.entries(index.root_changes)) {
    if (found.root_changes[name] !== pin) report(`${name}: ${found.root_changes[name]}, expected ${pin}`);
  }
}

function report(difference) {
  console.error(difference);
  process.exitCode = 1;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(process.argv[2], process.argv.slice(3));
}
