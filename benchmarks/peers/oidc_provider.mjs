// node-oidc-provider: `node oidc_provider.mjs PORT`, with BENCH_ALGORITHM for JWTs as access tokens.
// Its own adapter in memory keeps 1,000 records and walks all tokens of a grant at every write: this one keeps all and does not.
// Who comes to its interaction is signed in as ann and agrees: the load brings the cookies that such a visit leaves.
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

URL.parse ??= (uri, base) => (URL.canParse(uri, base) ? new URL(uri, base) : null); // Node 20 has none, the library needs it
console.info = console.warn = () => {};

const port = Number(process.argv[2]);
const alg = process.env.BENCH_ALGORITHM;
const issuer = `http://127.0.0.1:${port}`;
const resource = 'https://api.example.com';
const callback = 'https://client.example.com/callback';
const secret = 'a-secret-of-more-than-enough-characters';
const jwk = (kind, options) => ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), use: 'sig' });
const records = new Map(); // everything, by model and id
const indexes = new Map(); // ids by uid and user code
const families = new Map(); // keys by grant

class Memory {
  constructor(model) { this.model = model; }

  async upsert(id, payload) {
    const key = `${this.model}:${id}`;
    records.set(key, payload);
    if (payload.uid) indexes.set(payload.uid, id);
    if (!payload.grantId || this.model === 'Session' || this.model === 'Interaction') return;
    if (!families.has(payload.grantId)) families.set(payload.grantId, new Set());
    families.get(payload.grantId).add(key);
  }

  async find(id) { return records.get(`${this.model}:${id}`); }

  async findByUid(uid) { return this.find(indexes.get(uid)); }

  async consume(id) { records.get(`${this.model}:${id}`).consumed = Math.floor(Date.now() / 1000); }

  async destroy(id) { records.delete(`${this.model}:${id}`); }

  async revokeByGrantId(id) {
    for (const key of families.get(id) ?? []) records.delete(key);
    families.delete(id);
  }
}

const format = alg ? { accessTokenFormat: 'jwt', jwt: { sign: { alg } } } : { accessTokenFormat: 'opaque' };
const provider = new Provider(issuer, {
  adapter: Memory,
  jwks: { keys: [jwk('rsa', { modulusLength: 2048 }), jwk('ec', { namedCurve: 'P-256' })] },
  clients: [
    {
      client_id: 'machine', client_secret: secret, redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'], scope: 'read',
    },
    {
      client_id: 'shop', client_secret: secret, redirect_uris: [callback], response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'], scope: 'read',
    },
  ],
  scopes: ['openid', 'read'],
  routes: { authorization: '/authorize', token: '/token', introspection: '/token/introspect' },
  pkce: { required: () => true },
  cookies: { keys: ['benchmarks'] },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: {
    AccessToken: 3600, AuthorizationCode: 60, ClientCredentials: 3600, Grant: 86400, RefreshToken: 86400, Session: 86400,
    Interaction: 600,
  },
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    userinfo: { enabled: false },
    dPoP: { enabled: false },
    pushedAuthorizationRequests: { enabled: false },
    rpInitiatedLogout: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async (ctx, client, token) => token.clientId === client.clientId },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => resource,
      useGrantedResource: async () => true,
      getResourceServerInfo: async () => ({ scope: 'read', audience: resource, accessTokenTTL: 3600, ...format }),
    },
  },
});

async function interact(request, response) {
  const { prompt, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: 'ann' } });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: 'shop' });
  grant.addResourceScope(resource, 'read');
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

const protocol = provider.callback();
http.createServer((request, response) => {
  if (request.url.startsWith('/interaction/')) interact(request, response);
  else protocol(request, response);
}).listen(port, '127.0.0.1');
