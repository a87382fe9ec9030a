// A ticket or a JWT for a user, signed by the application itself with the key of callout's configuration.
//
//   node sign.mjs ticket ticket.key ann 'users/ann/*'
//   node sign.mjs jwt app.key ann 'users/ann/*'

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const mac = (key, message) => createHmac("sha256", key).update(message).digest();
const text = (data) => Buffer.from(data).toString("base64url");

export function ticket(key, user, { subscribe = [], publish = [], seconds = 600 } = {}) {
  const issued = Date.now() * 1000; // microseconds
  const claims = { user, subscribe, publish, issued, expires: issued + seconds * 1e6 };
  const id = text(mac(key, "callout key id").subarray(0, 3));
  const signed = `ct1.${id}.${text(JSON.stringify(claims))}`;
  return `${signed}.${text(mac(key, signed))}`;
}

export function jwt(key, user, { subscribe = [], publish = [], seconds = 600 } = {}) {
  const iat = Date.now() / 1000; // a fraction, so that it is known what was signed before a revocation
  const claims = { sub: user, aud: "callout", iat, exp: iat + seconds, callout: { subscribe, publish } };
  const signed = [{ alg: "HS256", typ: "JWT" }, claims].map((part) => text(JSON.stringify(part))).join(".");
  return `${signed}.${text(mac(key, signed))}`;
}

const [kind, file, user, ...subscribe] = process.argv.slice(2);
const key = readFileSync(file, "latin1").replace(/\r?\n$/, ""); // a line end is no part of the key
console.log({ ticket, jwt }[kind](Buffer.from(key, "latin1"), user, { subscribe }));
