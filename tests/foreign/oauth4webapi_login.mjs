// node oauth4webapi_login.mjs BASE REDIRECT_URI USER PASSWORD WEB MAC SIGNER; clients as JSON, SIGNER with its private `jwk`
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { browser, flow } from "./walk.mjs";

const [BASE, REDIRECT_URI, USER, PASSWORD, ...CLIENTS] = process.argv.slice(2);
const [WEB, MAC, SIGNER] = CLIENTS.map((text) => JSON.parse(text));
const walk = browser(BASE, USER, PASSWORD);
const base = new URL(BASE);
const http = { [oauth.allowInsecureRequests]: true };
const { jwk, ...SIGNED } = SIGNER;
const key = await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);

const without = ({ client_secret, ...client }) => client;
const web = [without(WEB), oauth.ClientSecretBasic(WEB.client_secret)];
const mac = [without(MAC), oauth.ClientSecretJwt(MAC.client_secret)];
const signer = [SIGNED, oauth.PrivateKeyJwt({ key, kid: jwk.kid })];

const as = await flow("OpenID discovery", async () =>
  oauth.processDiscoveryResponse(base, await oauth.discoveryRequest(base, { algorithm: "oidc", ...http })),
);

/** An authorization request with PKCE, state and nonce through the browser, and its answer: [parameters, verifier, nonce]. */
async function authorize([client], more) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: "code",
    client_id: client.client_id,
    redirect_uri: REDIRECT_URI,
    scope: "openid email read",
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...more,
  });
  const answer = await walk(url);
  const parameters = answer instanceof Request ? new URLSearchParams(await answer.text()) : answer;
  return [oauth.validateAuthResponse(as, client, parameters, state), verifier, nonce];
}

/** Tokens for a code; the ID token is required, with the nonce, no older login than `maxAge`, and signed by a key of jwks_uri. */
async function redeem([client, auth], [parameters, verifier, expectedNonce], maxAge = oauth.skipAuthTimeCheck) {
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, REDIRECT_URI, verifier, http);
  const checks = { requireIdToken: true, expectedNonce, maxAge };
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, checks);
  await oauth.validateApplicationLevelSignature(as, response, http);
  return [tokens, oauth.getValidatedIdTokenClaims(tokens)];
}
const login = async (who, more, maxAge) => redeem(who, await authorize(who, more), maxAge);

async function refresh([client, auth], token) {
  const response = await oauth.refreshTokenGrantRequest(as, client, auth, token, http);
  const tokens = await oauth.processRefreshTokenResponse(as, client, response);
  await oauth.validateApplicationLevelSignature(as, response, http);
  return [tokens, oauth.getValidatedIdTokenClaims(tokens)];
}

async function userinfo([client], { access_token }, sub) {
  const response = await oauth.userInfoRequest(as, client, access_token, http);
  const info = await oauth.processUserInfoResponse(as, client, sub, response);
  if (client.userinfo_signed_response_alg) await oauth.validateApplicationLevelSignature(as, response, http);
  return info;
}

const call = (token) => oauth.protectedResourceRequest(token, "GET", new URL(`${BASE}/x`), undefined, undefined, http);
async function opens({ access_token }) {
  assert.equal((await call(access_token)).status, 200);
  assert.equal((await fetch(`${BASE}/x`)).status, 401);
}
const algorithm = ({ id_token }) => JSON.parse(atob(id_token.split(".")[0])).alg;

const [tokens, claims] = await flow("code, PKCE, nonce and max_age; the ID token with its signature", () =>
  login(web, { max_age: 300 }, 300),
);
await flow("userinfo, the API, and a refresh with a new ID token of the same login", async () => {
  assert.match((await userinfo(web, tokens, claims.sub)).email, /@/);
  await assert.rejects(userinfo(web, tokens, `${claims.sub}x`), { code: oauth.JSON_ATTRIBUTE_COMPARISON });
  await opens(tokens);
  const [fresh, again] = await refresh(web, tokens.refresh_token);
  assert.deepEqual([again.iss, again.sub, again.aud], [claims.iss, claims.sub, claims.aud]);
  assert.equal(again.auth_time ?? claims.auth_time, claims.auth_time);
  await opens(fresh);
});
await flow("a form_post response", async () => {
  const [, again] = await redeem(web, await authorize(web, { response_mode: "form_post" }));
  assert.equal(again.sub, claims.sub);
});
await flow("prompt=login asks for the password again, and max_age counts from then", async () => {
  const [, again] = await login(web, { prompt: "login", max_age: 2 }, 2);
  assert(again.auth_time >= claims.auth_time);
});
for (const [name, who] of Object.entries({ client_secret_jwt: mac, private_key_jwt: signer }))
  await flow(`${name}: code, userinfo, refresh, with the algorithms that the client is registered for`, async () => {
    const [first, { sub }] = await login(who);
    assert.equal(algorithm(first), who[0].id_token_signed_response_alg ?? "RS256");
    assert.match((await userinfo(who, first, sub)).email, /@/);
    const [again] = await refresh(who, first.refresh_token);
    await opens(again);
  });
await flow("a client_secret_jwt by another secret is invalid_client", async () => {
  const other = [mac[0], oauth.ClientSecretJwt("another secret that is long enough")];
  await assert.rejects(refresh(other, tokens.refresh_token), (error) => error.status === 401 || error.error === "invalid_client");
});
