// node passport_openidconnect.mjs BASE REDIRECT_URI USER PASSWORD CLIENT STRICT; clients as JSON
// An Express app at REDIRECT_URI's port. This library knows neither discovery nor PKCE nor the keys: CLIENT may omit PKCE.
import assert from "node:assert/strict";
import express from "express";
import session from "express-session";
import passport from "passport";
import OpenIDConnectStrategy from "passport-openidconnect";
import { browser, flow } from "./walk.mjs";

const [BASE, REDIRECT_URI, USER, PASSWORD, ...CLIENTS] = process.argv.slice(2);
const [CLIENT, STRICT] = CLIENTS.map((text) => JSON.parse(text));
const site = new URL(REDIRECT_URI);
const metadata = await (await fetch(`${BASE}/.well-known/openid-configuration`)).json();

const strategy = ({ client_id, client_secret }) =>
  new OpenIDConnectStrategy(
    {
      issuer: metadata.issuer,
      authorizationURL: metadata.authorization_endpoint,
      tokenURL: metadata.token_endpoint,
      userInfoURL: metadata.userinfo_endpoint,
      clientID: client_id,
      clientSecret: client_secret,
      callbackURL: REDIRECT_URI,
      scope: ["email", "read"],
      nonce: true,
    },
    (issuer, fromUserinfo, fromIdToken, context, idToken, accessToken, refreshToken, parameters, done) => {
      const emails = fromUserinfo.emails.map(({ value }) => value);
      done(null, { issuer, id: fromIdToken.id, same: fromUserinfo.id, emails, context, accessToken, scope: parameters.scope });
    },
  );
passport.use("shop", strategy(CLIENT));
passport.use("strict", strategy(STRICT));
passport.serializeUser((user, done) => done(null, JSON.stringify(user)));
passport.deserializeUser((text, done) => done(null, JSON.parse(text)));

const app = express();
app.use(session({ secret: "only for this test", resave: false, saveUninitialized: false }), passport.session());
app.get("/login/:name", (request, response, next) => {
  request.session.name = request.params.name;
  passport.authenticate(request.params.name)(request, response, next);
});
app.get(site.pathname, (request, response, next) => {
  const options = { successRedirect: "/me", keepSessionInfo: true };
  passport.authenticate(request.session.name, options)(request, response, next);
});
app.get("/me", (request, response) => response.status(request.user ? 200 : 401).json(request.user ?? null));
app.get("/logout", (request, response, next) => request.logout((error) => (error ? next(error) : response.json("bye"))));
app.use((error, request, response, next) => response.status(500).json({ name: error.name, code: error.code }));
const server = await new Promise((resolve) => {
  const listening = app.listen(Number(site.port), site.hostname, () => resolve(listening));
});

/** A browser at the app: `visit(url)` has the answer, and follows no redirect. */
function visitor() {
  let cookie = "";
  return async (url) => {
    const response = await fetch(new URL(url, site), { redirect: "manual", headers: { Cookie: cookie } });
    cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
    return response;
  };
}
const walk = browser(BASE, USER, PASSWORD);
const sent = async (response) => new URL(response.headers.get("location"), site);

await flow("login, callback and the profile from the ID token and from userinfo; the API is open", async () => {
  const visit = visitor();
  assert.equal((await visit("/me")).status, 401);
  const back = await visit(await walk(await sent(await visit("/login/shop"))));
  assert.equal(back.headers.get("location"), "/me", await back.text());
  const me = await (await visit("/me")).json();
  assert.deepEqual([me.issuer, me.id, me.emails], [metadata.issuer, me.same, [`${USER}@example.test`]]);
  const call = (headers) => fetch(`${BASE}/x`, { headers });
  assert.equal((await call({ Authorization: `Bearer ${me.accessToken}` })).status, 200);
  assert.equal((await call({})).status, 401);
  await visit("/logout");
  assert.equal((await visit("/me")).status, 401);
});
await flow("an answer of another browser's login is refused", async () => {
  const answer = await walk(await sent(await visitor()("/login/shop")));
  const visit = visitor();
  await visit("/login/shop");
  assert.equal((await visit(answer)).status, 403);
});
await flow("without PKCE a client that must use it gets invalid_request, which the library reports", async () => {
  const visit = visitor();
  const back = await visit(await walk(await sent(await visit("/login/strict"))));
  assert.deepEqual([back.status, await back.json()], [500, { name: "AuthorizationError", code: "invalid_request" }]);
});
server.close();
server.closeAllConnections();
