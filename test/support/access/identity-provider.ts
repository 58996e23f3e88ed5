import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';
import { freePort } from '../net/free-port.js';

export const AUDIENCE = 'https://darkroom.example';
const SCOPES = 'tasks:read tasks:write keys:admin';
const CLIENT_SECRET = 'a secret of a client that only tests know';

/** Storage for the provider that stores nothing. Its JWT access tokens are self-contained and are never looked up. */
class NullAdapter {
  upsert = () => Promise.resolve();
  find = () => Promise.resolve(undefined);
  destroy = () => Promise.resolve();
}

/** A real OpenID provider on the loopback interface. Each of its clients stands for one person, with claims set by the test. */
export class TestIdentityProvider {
  private server: Server | null = null;
  /** Number of HTTP requests received. */
  requestCount = 0;
  keys: object[] = [];

  private constructor(
    private readonly port: number,
    /** Extra claims of every token, by client name. */
    private readonly claims: Record<string, object>,
  ) {}

  static async create(claims: Record<string, object>): Promise<TestIdentityProvider> {
    const provider = new TestIdentityProvider(await freePort(), claims);
    await provider.rotateKeys();
    return provider;
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Replaces the signing key. The new key is used from the next `start()`. */
  async rotateKeys(): Promise<void> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true });
    this.keys = [{ ...(await exportJWK(privateKey)), kid: randomUUID(), alg: 'RS256', use: 'sig' }];
  }

  async start(): Promise<void> {
    const server = { scope: SCOPES, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
    const provider = new Provider(this.issuer, {
      clients: Object.keys(this.claims).map((name) => ({
        client_id: name,
        client_secret: CLIENT_SECRET,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      })),
      jwks: { keys: this.keys },
      adapter: NullAdapter,
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
    const handler = provider.callback();
    this.server = createServer((request, response) => {
      this.requestCount += 1;
      // The provider restarts on the same port. A kept-alive connection to the earlier server must not be reused.
      response.setHeader('connection', 'close');
      handler(request, response);
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

  /** Requests an access token for a person and a resource. Throws if the provider refuses. */
  async token(name: string, resource = AUDIENCE): Promise<string> {
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPES, resource });
    const authorization = `Basic ${Buffer.from(`${name}:${encodeURIComponent(CLIENT_SECRET)}`).toString('base64')}`;
    const response = await fetch(`${this.issuer}/token`, {
      method: 'POST',
      body,
      headers: { authorization },
    });
    const { access_token: token, ...rest } = (await response.json()) as { access_token?: string };
    if (!token) throw new Error(`The provider returned no token: ${JSON.stringify(rest)}`);
    return token;
  }
}
