// Who may ask the example origin for a forecast: its API keys, and tokens that it signs itself.

import { generateKeyPairSync, sign, verify } from "node:crypto";

/** The tenant of each API key. They are for loopback alone. */
export const KEYS = { "demo-key-acme": "acme", "demo-key-globex": "globex" };
export const ISSUER = "analysis-origin";
export const AUDIENCE = "forecast";

const text = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Makes a key pair, and what is done with it. */
export function createIssuer() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const kid = "origin-1";
  return {
    /** The key set (RFC 7517). */
    keySet: { keys: [{ ...publicKey.export({ format: "jwk" }), kid, use: "sig", alg: "EdDSA" }] },
    /** A token of a tenant that is good for this many seconds. */
    token(/** @type {string} */ tenant, /** @type {number} */ seconds) {
      const header = text({ alg: "EdDSA", typ: "JWT", kid });
      const claims = text({ iss: ISSUER, aud: AUDIENCE, org: tenant, exp: Math.floor(Date.now() / 1000) + seconds });
      const signature = sign(null, Buffer.from(`${header}.${claims}`), privateKey).toString("base64url");
      return `${header}.${claims}.${signature}`;
    },
    /** The tenant of a request's credential; undefined if it has none that is good. */
    tenantOf(/** @type {import("node:http").IncomingHttpHeaders} */ headers) {
      const key = headers["x-api-key"];
      if (typeof key === "string" && Object.hasOwn(KEYS, key)) return KEYS[/** @type {keyof typeof KEYS} */ (key)];
      const token = /^Bearer ([\w.-]+)$/i.exec(headers.authorization ?? "")?.[1];
      const [header, claims, signature] = token?.split(".") ?? [];
      if (!signature) return undefined;
      const isSigned = verify(null, Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, "base64url"));
      if (!isSigned) return undefined;
      const { org, exp } = JSON.parse(Buffer.from(claims, "base64url").toString());
      return exp * 1000 > Date.now() ? org : undefined;
    },
  };
}
