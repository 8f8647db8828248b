// node-oidc-provider as somebody else's issuer. `node issuer.mjs PORT` prints `ready` once it listens.
// GET /rotate: a new key signs from now on, the one before is still published. Access tokens for https://api.example.com are JWTs,
// those for https://opaque.example.com are opaque. GET /person?resource=…: {access_token} of a person, as after a login.
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

URL.parse ??= (uri, base) => (URL.canParse(uri, base) ? new URL(uri, base) : null); // Node 20 has none, the library needs it
console.info = console.warn = () => {};

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const formats = { 'https://api.example.com': 'jwt', 'https://opaque.example.com': 'opaque' };
let keys = [];
let made = 0;

function newKey() {
  const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  made += 1;
  return { ...jwk, use: 'sig', alg: 'RS256', kid: `node-${made}` };
}

function resourceServer(resource) {
  const jwt = formats[resource] === 'jwt' ? { jwt: { sign: { alg: 'RS256' } } } : {};
  return { scope: 'read write', audience: resource, accessTokenTTL: 600, accessTokenFormat: formats[resource], ...jwt };
}

function newProvider() {
  keys = [newKey(), ...keys].slice(0, 2);
  return new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: 'machine', client_secret: 'machine-secret-0123456789abcdef', redirect_uris: [], response_types: [],
        grant_types: ['client_credentials'], scope: 'read write',
      },
      {
        client_id: 'gate', client_secret: 'gate-secret-0123456789abcdef', redirect_uris: [], response_types: [], grant_types: [],
      },
    ],
    scopes: ['openid', 'read', 'write'],
    routes: { token: '/token', introspection: '/token/introspection' },
    cookies: { keys: ['issuer'] },
    ttl: { AccessToken: 600, ClientCredentials: 600, Grant: 3600 },
    findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async (ctx, client) => client.clientId === 'gate' },
      resourceIndicators: { enabled: true, getResourceServerInfo: async (ctx, resource) => resourceServer(resource) },
    },
  });
}

async function person(resource) {
  const client = await provider.Client.find('machine');
  const grant = new provider.Grant({ accountId: 'ann', clientId: client.clientId });
  grant.addResourceScope(resource, 'read');
  const token = new provider.AccessToken({ client, accountId: 'ann', grantId: await grant.save(), scope: 'read' });
  token.resourceServer = new provider.ResourceServer(resource, resourceServer(resource));
  return { access_token: await token.save() };
}

let provider = newProvider();
let protocol = provider.callback();
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname !== '/rotate' && url.pathname !== '/person') {
    protocol(request, response);
    return;
  }
  let answer = {};
  if (url.pathname === '/rotate') {
    provider = newProvider();
    protocol = provider.callback();
  } else {
    answer = await person(url.searchParams.get('resource'));
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(answer));
});
server.listen(port, '127.0.0.1', () => console.log('ready'));
