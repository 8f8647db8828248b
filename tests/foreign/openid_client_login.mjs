// node openid_client_login.mjs BASE REDIRECT_URI USER PASSWORD WEB SIGNER; clients as JSON, SIGNER with its private `jwk`
import assert from "node:assert/strict";
import * as client from "openid-client";
import { browser, flow } from "./walk.mjs";

const [BASE, REDIRECT_URI, USER, PASSWORD, ...CLIENTS] = process.argv.slice(2);
const [WEB, SIGNER] = CLIENTS.map((text) => JSON.parse(text));
const walk = browser(BASE, USER, PASSWORD);
const resource = new URL(`${BASE}/x`);

/** Discovery with the library's default, OpenID Connect's; ID tokens are verified with the keys at jwks_uri. */
const discover = ({ client_id, client_secret, jwk, ...metadata }, auth) =>
  client.discovery(new URL(BASE), client_id, metadata, auth, {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });

/** An authorization request with PKCE, state and nonce, taken through the browser; what came back and the checks for it. */
async function authorize(config, more = {}, way = walk) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: "openid email read",
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    ...more,
  });
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
  return [await way(url), more.max_age ? { ...checks, maxAge: Number(more.max_age) } : checks];
}

const login = async (config, more) => client.authorizationCodeGrant(config, ...(await authorize(config, more)));
const silently = (config, way) => authorize(config, { prompt: "none" }, way);

async function opens(config, token) {
  assert.equal((await client.fetchProtectedResource(config, token, resource, "GET")).status, 200);
  assert.equal((await fetch(resource)).status, 401);
}

const web = await flow("OpenID discovery", () => discover(WEB, client.ClientSecretBasic(WEB.client_secret)));
const metadata = web.serverMetadata();
const tokens = await flow("code, PKCE and nonce; the ID token by the keys at jwks_uri, its claims, max_age", async () => {
  const tokens = await login(web, { max_age: "300" });
  const { iss, aud, auth_time, sub } = tokens.claims();
  assert.deepEqual([iss, [aud].flat(), typeof auth_time], [metadata.issuer, [WEB.client_id], "number"]);
  assert(sub);
  return tokens;
});
const { sub, auth_time } = tokens.claims();
await flow("userinfo has the same sub and the scope's claims, and the API is open", async () => {
  const info = await client.fetchUserInfo(web, tokens.access_token, sub);
  assert.match(info.email, /@/);
  await assert.rejects(client.fetchUserInfo(web, tokens.access_token, `${sub}x`), { code: "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED" });
  await opens(web, tokens.access_token);
});
const fresh = await flow("a refresh brings a new ID token of the same login", async () => {
  const fresh = await client.refreshTokenGrant(web, tokens.refresh_token);
  const claims = fresh.claims();
  assert.deepEqual([claims.sub, claims.aud, claims.iss], [sub, tokens.claims().aud, metadata.issuer]);
  assert.equal(claims.auth_time ?? auth_time, auth_time);
  await opens(web, fresh.access_token);
  return fresh;
});
await flow("a form_post response, handed over as the posted request", async () => {
  const [posted, checks] = await authorize(web, { response_mode: "form_post" });
  assert.equal(posted.method, "POST");
  assert.equal((await client.authorizationCodeGrant(web, posted, checks)).claims().sub, sub);
});
await flow("prompt=none asks nothing of who is signed in, and is login_required for who is not", async () => {
  const [answer, checks] = await silently(web);
  assert.equal((await client.authorizationCodeGrant(web, answer, checks)).claims().sub, sub);
  const refused = silently(web, browser(BASE)).then((answer) => client.authorizationCodeGrant(web, ...answer));
  await assert.rejects(refused, { error: "login_required" });
});
await flow("a wrong nonce is noticed", async () => {
  const [answer, checks] = await authorize(web);
  const error = await client.authorizationCodeGrant(web, answer, { ...checks, expectedNonce: "other" }).catch((error) => error);
  assert.match(error.cause?.message ?? error.message, /"nonce"/);
});
await flow("private_key_jwt, and an ID token of another algorithm", async () => {
  const key = await crypto.subtle.importKey("jwk", SIGNER.jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  const signer = await discover(SIGNER, client.PrivateKeyJwt({ key, kid: SIGNER.jwk.kid }));
  const first = await login(signer);
  assert.equal(JSON.parse(atob(first.id_token.split(".")[0])).alg, SIGNER.id_token_signed_response_alg);
  const again = await client.refreshTokenGrant(signer, first.refresh_token);
  assert.equal(again.claims().sub, first.claims().sub);
  await opens(signer, again.access_token);
});
await flow("signing out leads back to the client with its state", async () => {
  const asked = { id_token_hint: fresh.id_token, post_logout_redirect_uri: WEB.post_logout_redirect_uris[0], state: "s-1" };
  const back = await walk(client.buildEndSessionUrl(web, asked));
  assert.equal(`${back.origin}${back.pathname}`, asked.post_logout_redirect_uri);
  assert.equal(back.searchParams.get("state"), "s-1");
  const refused = silently(web).then((answer) => client.authorizationCodeGrant(web, ...answer));
  await assert.rejects(refused, { error: "login_required" });
});
