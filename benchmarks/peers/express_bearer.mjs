// Express with express-oauth2-jwt-bearer: `node express_bearer.mjs PORT`. The same process serves the JWK Set it reads.
import { readFileSync } from 'node:fs';
import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';

const port = Number(process.argv[2]);
const issuer = 'https://api.example.com';
const keys = readFileSync(`${process.env.BENCH_FOLDER}/jwks.json`, 'utf8');
const app = express();
app.disable('x-powered-by');
app.get('/jwks.json', (request, response) => response.type('json').send(keys));
const check = auth({ issuer, audience: issuer, jwksUri: `http://127.0.0.1:${port}/jwks.json`, tokenSigningAlg: 'RS256' });
app.get('/thing', check, requiredScopes('read'), (request, response) => response.type('text').send('ok'));
app.use((error, request, response, next) => response.status(error.status ?? 500).set(error.headers ?? {}).send('no'));
app.listen(port, '127.0.0.1');
