// The oracle: node-oidc-provider, set up like the gateway in run.py. `node provider.mjs PORT` prints `ready` once it listens.
// `node provider.mjs PORT ALG` signs its access tokens with ALG, for benchmarks/issuing.py.
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import { Provider, errors } from 'oidc-provider';

URL.parse ??= (uri, base) => (URL.canParse(uri, base) ? new URL(uri, base) : null); // Node 20 has none, the library needs it
console.info = console.warn = () => {};

const port = Number(process.argv[2]);
const alg = process.argv[3];
const jwk = (kind, options) => generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' });
const keys = alg && { // without them it has some for development
  jwks: { keys: [jwk('rsa', { modulusLength: 2048 }), jwk('ec', { namedCurve: 'P-256' })].map((key) => ({ ...key, use: 'sig' })) },
};
const issuer = `http://127.0.0.1:${port}`;
const scopes = 'read write';
const callback = 'https://client.test/cb';
const flow = { grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], scope: scopes };
const secret = (id) => `${id}-secret-0123456789abcdef`;

const provider = new Provider(issuer, {
  ...keys,
  clients: [
    { client_id: 'confidential', client_secret: secret('confidential'), redirect_uris: [callback], ...flow },
    {
      client_id: 'poster', client_secret: secret('poster'), redirect_uris: [callback], ...flow,
      token_endpoint_auth_method: 'client_secret_post',
    },
    {
      client_id: 'public', redirect_uris: [callback, 'http://127.0.0.1/cb'], ...flow,
      token_endpoint_auth_method: 'none', application_type: 'native',
    },
    {
      client_id: 'machine', client_secret: secret('machine'), redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'], scope: 'read',
    },
  ],
  scopes: ['openid', 'read', 'write'],
  routes: {
    authorization: '/authorize', token: '/token', revocation: '/token/revoke', introspection: '/token/introspect',
  },
  pkce: { required: () => true },
  allowOmittingSingleRegisteredRedirectUri: true,
  enableHttpPostMethods: true,
  cookies: { keys: ['oracle'], long: { sameSite: 'none', signed: true } },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: {
    AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, Grant: 3600, RefreshToken: 3600, Session: 600,
    Interaction: 600,
  },
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  renderError: async (ctx, out) => {
    ctx.type = 'html';
    ctx.body = `<!DOCTYPE html><title>error</title><code>${out.error}</code>`;
  },
  features: {
    devInteractions: { enabled: false },
    userinfo: { enabled: false },
    dPoP: { enabled: false },
    pushedAuthorizationRequests: { enabled: false },
    rpInitiatedLogout: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async (ctx, client, token) => token.clientId === client.clientId },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async (ctx, client, oneOf) => (oneOf ? oneOf[0] : issuer),
      useGrantedResource: async () => true,
      getResourceServerInfo: async (ctx, resource) => {
        if (resource !== issuer) throw new errors.InvalidTarget();
        const format = alg ? { accessTokenFormat: 'jwt', jwt: { sign: { alg } } } : { accessTokenFormat: 'opaque' };
        return { scope: scopes, audience: issuer, accessTokenTTL: 600, ...format };
      },
    },
  },
});

// A code as a signed-in person would have brought it, from {client_id, redirect_uri, scope, code_challenge}.
async function code(wanted) {
  const client = await provider.Client.find(wanted.client_id);
  const grant = new provider.Grant({ accountId: 'ann', clientId: client.clientId });
  grant.addResourceScope(issuer, wanted.scope);
  const made = new provider.AuthorizationCode({
    client, accountId: 'ann', grantId: await grant.save(), authTime: Math.floor(Date.now() / 1000), resource: issuer,
    redirectUri: wanted.redirect_uri, scope: wanted.scope, codeChallenge: wanted.code_challenge, codeChallengeMethod: 'S256',
  });
  return { code: await made.save() };
}

const protocol = provider.callback();
const server = http.createServer(async (request, response) => {
  if (request.url !== '/oracle/code') {
    protocol(request, response);
    return;
  }
  const chunks = await request.toArray();
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(await code(JSON.parse(Buffer.concat(chunks).toString()))));
});
server.listen(port, '127.0.0.1', () => console.log('ready'));
