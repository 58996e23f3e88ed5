import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';
import { freePort } from '../net/free-port.js';

export const AUDIENCE = 'https://darkroom.example';
const SCOPES = 'tasks:read tasks:write keys:admin';
const SECRET = 'a secret of a client that only tests know';

/** Where the provider would keep what it has to look up again: tokens that hold everything are none of that. */
class Forgetful {
  upsert = () => Promise.resolve();
  find = () => Promise.resolve(undefined);
  destroy = () => Promise.resolve();
}

/** A real OpenID provider on this machine, whose clients are people and whose claims the test says. */
export class TestIdentityProvider {
  private server: Server | null = null;
  /** How often anybody has asked for anything. */
  requests = 0;
  keys: object[] = [];

  private constructor(
    private readonly port: number,
    /** Written into every token, by the name of the client. */
    private readonly claims: Record<string, object>,
  ) {}

  static async make(claims: Record<string, object>): Promise<TestIdentityProvider> {
    const provider = new TestIdentityProvider(await freePort(), claims);
    await provider.rotate();
    return provider;
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** New keys, from the next start on. */
  async rotate(): Promise<void> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true });
    this.keys = [{ ...(await exportJWK(privateKey)), kid: randomUUID(), alg: 'RS256', use: 'sig' }];
  }

  async start(): Promise<void> {
    const server = { scope: SCOPES, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
    const provider = new Provider(this.issuer, {
      clients: Object.keys(this.claims).map((name) => ({
        client_id: name,
        client_secret: SECRET,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      })),
      jwks: { keys: this.keys },
      adapter: Forgetful,
      scopes: SCOPES.split(' '),
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_context: unknown, audience: string) => ({ ...server, audience }),
        },
      },
      extraTokenClaims: (_context, { clientId = '' }) => this.claims[clientId] ?? {},
    });
    const answer = provider.callback();
    this.server = createServer((request, response) => {
      this.requests += 1;
      // It comes and goes on the same port: nobody is to take a connection to the one before for one to this.
      response.setHeader('connection', 'close');
      answer(request, response);
    });
    await once(this.server.listen(this.port, '127.0.0.1'), 'listening');
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (!server) return;
    server.closeAllConnections();
    await once(server.close(), 'close');
  }

  /** An access token of a person, for a resource. */
  async token(name: string, resource = AUDIENCE): Promise<string> {
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPES, resource });
    const authorization = `Basic ${Buffer.from(`${name}:${encodeURIComponent(SECRET)}`).toString('base64')}`;
    const response = await fetch(`${this.issuer}/token`, {
      method: 'POST',
      body,
      headers: { authorization },
    });
    const { access_token: token, ...rest } = (await response.json()) as { access_token?: string };
    if (!token) throw new Error(`The provider gave no token: ${JSON.stringify(rest)}`);
    return token;
  }
}
