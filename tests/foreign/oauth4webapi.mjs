// node oauth4webapi.mjs BASE CLIENT_ID CLIENT_SECRET MACHINE_ID MACHINE_SECRET PUBLIC_ID REDIRECT_URI USER PASSWORD
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { browser, flow } from "./walk.mjs";

const [BASE, CLIENT_ID, CLIENT_SECRET, MACHINE_ID, MACHINE_SECRET, PUBLIC_ID, REDIRECT_URI, ...PERSON] = process.argv.slice(2);
const walk = browser(BASE, ...PERSON);
const base = new URL(BASE);
const http = { [oauth.allowInsecureRequests]: true };
const shop = [{ client_id: CLIENT_ID }, oauth.ClientSecretBasic(CLIENT_SECRET)];
const phone = [{ client_id: PUBLIC_ID }, oauth.None()];
const robot = [{ client_id: MACHINE_ID }, oauth.ClientSecretBasic(MACHINE_SECRET)];

const as = await flow("RFC 8414 discovery", async () =>
  oauth.processDiscoveryResponse(base, await oauth.discoveryRequest(base, { algorithm: "oauth2", ...http })),
);

/** What came back from an authorization request, checked by the library (state, iss, error), and the PKCE verifier. */
async function authorize([client], { decision, prompt = "" } = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const code_challenge = await oauth.calculatePKCECodeChallenge(verifier);
  const url = new URL(as.authorization_endpoint);
  const request = { response_type: "code", ...client, redirect_uri: REDIRECT_URI, scope: "read", state, prompt };
  url.search = new URLSearchParams({ ...request, code_challenge, code_challenge_method: "S256" });
  return [oauth.validateAuthResponse(as, client, await walk(url, decision), state), verifier];
}

const redeem = async ([client, auth], code, verifier) => {
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, code, REDIRECT_URI, verifier, http);
  return oauth.processAuthorizationCodeResponse(as, client, response);
};
const refresh = async ([client, auth], token) =>
  oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, token, http));
const machine = async ([client, auth], scope = "read") =>
  oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, auth, { scope }, http));
const revoke = async ([client, auth], token) =>
  oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token, http));
const introspect = async ([client, auth], token) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token, http));
const call = (token) => oauth.protectedResourceRequest(token, "GET", new URL(`${BASE}/x`), undefined, undefined, http);
const works = async (token) => assert.equal((await call(token)).status, 200);

/** The challenge that refuses a request, read by the library. */
async function challenge(promise, scheme, word) {
  const error = await promise.catch((error) => error);
  assert(error instanceof oauth.WWWAuthenticateChallengeError, `no challenge but ${error}`);
  const [{ parameters, ...first }] = error.cause;
  assert.deepEqual([error.status, first.scheme, parameters.error], [401, scheme, word]);
  return parameters;
}
const gone = (token) => challenge(call(token), "bearer", "invalid_token");
const invalidGrant = (promise) => assert.rejects(promise, { error: "invalid_grant", status: 400 });

for (const [name, who] of Object.entries({ confidential: shop, public: phone })) {
  await flow(`${name} client: code, call, refresh, revocation`, async () => {
    const tokens = await redeem(who, ...(await authorize(who)));
    const fresh = await refresh(who, tokens.refresh_token);
    for (const { access_token } of [tokens, fresh]) await works(access_token);
    await revoke(who, fresh.refresh_token);
    for (const { access_token } of [tokens, fresh]) await gone(access_token);
    await invalidGrant(refresh(who, fresh.refresh_token));
  });
  await flow(`${name} client: a code or an old refresh token that comes again ends the grant`, async () => {
    const answer = await authorize(who);
    const { access_token: bought } = await redeem(who, ...answer);
    await invalidGrant(redeem(who, ...answer));
    await gone(bought);
    const first = await redeem(who, ...(await authorize(who)));
    const third = await refresh(who, (await refresh(who, first.refresh_token)).refresh_token);
    await invalidGrant(refresh(who, first.refresh_token));
    await gone(third.access_token);
  });
}
await flow("client credentials, introspection, revocation, RFC 9728 by the challenge and by discovery", async () => {
  const { access_token: token } = await machine(robot);
  await works(token);
  if (as.introspection_endpoint) assert.equal((await introspect(robot, token)).active, true);
  await revoke(robot, token);
  if (as.introspection_endpoint) assert.deepEqual(await introspect(robot, token), { active: false });
  const { resource_metadata } = await gone(token);
  for (const response of [await fetch(resource_metadata), await oauth.resourceDiscoveryRequest(base, http)])
    assert.deepEqual((await oauth.processResourceDiscoveryResponse(base, response)).authorization_servers, [as.issuer]);
});
const denied = { decision: "deny", prompt: "consent" };
await flow("denied consent is access_denied", () => assert.rejects(authorize(shop, denied), { error: "access_denied" }));
const wrong = [robot[0], oauth.ClientSecretBasic("wrong")];
await flow("a wrong secret is a Basic challenge", () => challenge(machine(wrong), "basic", undefined));
