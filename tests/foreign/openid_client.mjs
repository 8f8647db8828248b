// node openid_client.mjs BASE CLIENT_ID CLIENT_SECRET MACHINE_ID MACHINE_SECRET PUBLIC_ID REDIRECT_URI USER PASSWORD
import assert from "node:assert/strict";
import * as client from "openid-client";
import { browser, flow } from "./walk.mjs";

const [BASE, CLIENT_ID, CLIENT_SECRET, MACHINE_ID, MACHINE_SECRET, PUBLIC_ID, REDIRECT_URI, ...PERSON] = process.argv.slice(2);
const walk = browser(BASE, ...PERSON);
const resource = new URL(`${BASE}/x`);

const discover = (id, auth) =>
  client.discovery(new URL(BASE), id, undefined, auth, { algorithm: "oauth2", execute: [client.allowInsecureRequests] });

const call = (config, token) => client.fetchProtectedResource(config, token, resource, "GET");

/** An authorization request with PKCE and state, taken through the browser; what came back and the checks for it. */
async function authorize(config, { decision, ...more } = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: "read",
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    ...more,
  });
  return [await walk(url, decision), { pkceCodeVerifier, expectedState }];
}

async function gone(config, token) {
  const error = await call(config, token).catch((error) => error);
  assert(error instanceof client.WWWAuthenticateChallengeError, `no challenge but ${error}`);
  assert.equal(error.status, 401);
  assert.equal(error.cause[0].scheme, "bearer");
  assert.equal(error.cause[0].parameters.error, "invalid_token");
}

async function full(config) {
  const tokens = await client.authorizationCodeGrant(config, ...(await authorize(config)));
  assert.equal(tokens.token_type, "bearer");
  assert.equal(tokens.scope ?? "read", "read");
  assert.equal((await call(config, tokens.access_token)).status, 200);
  const fresh = await client.refreshTokenGrant(config, tokens.refresh_token);
  assert.notEqual(fresh.access_token, tokens.access_token);
  assert.equal((await call(config, fresh.access_token)).status, 200);
  const introspects = config.serverMetadata().introspection_endpoint && config.clientMetadata().client_id !== PUBLIC_ID;
  if (introspects) assert.equal((await client.tokenIntrospection(config, fresh.access_token)).active, true);
  await client.tokenRevocation(config, fresh.refresh_token);
  await gone(config, fresh.access_token);
  if (introspects) assert.equal((await client.tokenIntrospection(config, fresh.access_token)).active, false);
}

const shop = await flow("discovery", () => discover(CLIENT_ID, client.ClientSecretBasic(CLIENT_SECRET)));
const phone = await discover(PUBLIC_ID, client.None());
const robot = await discover(MACHINE_ID, client.ClientSecretBasic(MACHINE_SECRET));
await flow("PKCE is announced", () => assert(shop.serverMetadata().supportsPKCE()));
await flow("confidential client: code, refresh, revocation", () => full(shop));
await flow("public client: code, refresh, revocation", () => full(phone));
await flow("client credentials, revocation", async () => {
  const { access_token: token } = await client.clientCredentialsGrant(robot, { scope: "read" });
  assert.equal((await call(robot, token)).status, 200);
  await client.tokenRevocation(robot, token);
  await gone(robot, token);
});
await flow("denied consent is access_denied", async () => {
  const [answer, checks] = await authorize(shop, { decision: "deny", prompt: "consent" });
  await assert.rejects(client.authorizationCodeGrant(shop, answer, checks), { error: "access_denied" });
});
for (const name of ["state", "iss"])
  await flow(`a wrong ${name} is refused`, async () => {
    const [answer, checks] = await authorize(shop);
    answer.searchParams.set(name, "http://evil.test");
    const error = await client.authorizationCodeGrant(shop, answer, checks).catch((error) => error);
    assert.equal(error.code, "OAUTH_INVALID_RESPONSE", error);
    assert.match(error.cause.message, new RegExp(`"${name}"`));
  });
await flow("a wrong verifier is invalid_grant", async () => {
  const [answer, checks] = await authorize(shop);
  checks.pkceCodeVerifier = client.randomPKCECodeVerifier();
  await assert.rejects(client.authorizationCodeGrant(shop, answer, checks), { error: "invalid_grant", status: 400 });
});
