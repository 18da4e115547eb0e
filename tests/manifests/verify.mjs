// npm jose over every file named: one line of JSON, {file: accepted}.
import { readFileSync } from "node:fs";
import { compactVerify, createLocalJWKSet } from "jose";

const [, , jwks, ...files] = process.argv;
const keys = createLocalJWKSet(JSON.parse(readFileSync(jwks, "utf8")));
const found = {};
for (const file of files) {
  try {
    await compactVerify(readFileSync(file, "latin1"), keys, { algorithms: ["ES256"] });
    found[file] = true;
  } catch {
    found[file] = false;
  }
}
console.log(JSON.stringify(found));
