// node simple_oauth2.mjs BASE CLIENT_ID CLIENT_SECRET MACHINE_ID MACHINE_SECRET PUBLIC_ID REDIRECT_URI USER PASSWORD
// This library knows neither discovery nor PKCE nor iss: it is told the paths and given the parameters by hand.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { AuthorizationCode, ClientCredentials } from "simple-oauth2";
import { browser, flow } from "./walk.mjs";

const [BASE, CLIENT_ID, CLIENT_SECRET, MACHINE_ID, MACHINE_SECRET, PUBLIC_ID, REDIRECT_URI, ...PERSON] = process.argv.slice(2);
const walk = browser(BASE, ...PERSON);
const metadata = await (await fetch(`${BASE}/.well-known/oauth-authorization-server`)).json();
const path = (name) => new URL(metadata[name]).pathname;
const auth = { tokenHost: BASE, tokenPath: path("token_endpoint"), revokePath: path("revocation_endpoint") };
const pages = { ...auth, authorizePath: path("authorization_endpoint") };
const random = () => randomBytes(32).toString("base64url");

const shop = new AuthorizationCode({ client: { id: CLIENT_ID, secret: CLIENT_SECRET }, auth: pages });
// in the body with an empty secret, which means none (RFC 6749 section 2.3.1)
const options = { authorizationMethod: "body" };
const phone = new AuthorizationCode({ client: { id: PUBLIC_ID, secret: "" }, auth: pages, options });
const robot = new ClientCredentials({ client: { id: MACHINE_ID, secret: MACHINE_SECRET }, auth });

const status = async ({ token }) =>
  (await fetch(`${BASE}/x`, { headers: { Authorization: `Bearer ${token.access_token}` } })).status;

/** What came back from an authorization request, and the parameters that redeem its code. */
async function authorize(client, decision) {
  const verifier = random();
  const state = random();
  const url = client.authorizeURL({
    redirect_uri: REDIRECT_URI,
    scope: ["read"],
    state,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    ...(decision && { prompt: "consent" }),
  });
  const answer = Object.fromEntries((await walk(url, decision)).searchParams);
  assert.deepEqual([answer.state, answer.iss], [state, metadata.issuer]);
  return [answer, { code: answer.code, redirect_uri: REDIRECT_URI, code_verifier: verifier }];
}

async function refused(promise, code, word) {
  const error = await promise.catch((error) => error);
  assert.deepEqual([error.output?.statusCode, error.data?.payload.error], [code, word], error);
}

for (const [name, client] of Object.entries({ confidential: shop, public: phone })) {
  const old = await flow(`${name} client: code`, async () => client.getToken((await authorize(client))[1]));
  await flow(`${name} client: call, refresh, revocation`, async () => {
    assert.equal(old.expired(), false);
    assert.equal(await status(old), 200);
    const fresh = await old.refresh({ scope: ["read"] });
    assert.notEqual(fresh.token.access_token, old.token.access_token);
    assert.equal(await status(fresh), 200);
    await fresh.revoke("access_token");
    assert.deepEqual([await status(fresh), await status(old)], [401, 200]);
    await fresh.revokeAll();
    assert.equal(await status(old), 401);
    await refused(fresh.refresh(), 400, "invalid_grant");
  });
}
await flow("client credentials, revocation", async () => {
  const token = await robot.getToken({ scope: "read" });
  assert.equal(await status(token), 200);
  await token.revoke("access_token");
  assert.equal(await status(token), 401);
});
await flow("denied consent is access_denied", async () => {
  const [answer] = await authorize(shop, "deny");
  assert.deepEqual([answer.error, answer.code], ["access_denied", undefined]);
});
await flow("a wrong verifier is invalid_grant", async () => {
  const [, parameters] = await authorize(shop);
  await refused(shop.getToken({ ...parameters, code_verifier: random() }), 400, "invalid_grant");
});
await flow("a wrong secret is invalid_client", async () => {
  const client = new ClientCredentials({ client: { id: MACHINE_ID, secret: "wrong" }, auth });
  await refused(client.getToken({}), 401, "invalid_client");
});
