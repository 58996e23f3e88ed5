import { type LookupAddress } from 'node:dns';
import { isIPv6, type Socket } from 'node:net';
import { buildConnector, Pool } from 'undici';
import { effectivePort, USER_AGENT } from '../core/primitives/url.js';
import { type Destination, isExempt, isLoopback } from './proxy-rules.js';

/** A proxy did not open a connection. `reason` is a clause for use inside a sentence, without an address. */
export class ProxyFailed extends Error {
  constructor(
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(`The proxy opened no connection: ${reason}.`, options);
    this.name = 'ProxyFailed';
  }
}

export interface OutgoingProxyOptions {
  /** The proxy for https URLs, which may have a user name and password. Null: none. */
  https: string | null;
  /** The proxy for http URLs. Null: none. */
  http: string | null;
  /** Hosts that are reached directly: see `isExempt`. */
  exceptions: readonly string[];
}

type ConnectorOptions = Parameters<buildConnector.connector>[0];
type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

/** An address of a family that the proxy has no route to fails at once. More addresses than that are rare. */
const MAX_ADDRESSES = 4;

/**
 * The proxy through which the network lets requests out. Each connection is a tunnel (CONNECT), for http URLs as well, and
 * TLS is between this process and the destination. undici's own agents for proxies open tunnels in the same way, but always
 * name the host, which the proxy would resolve on its own.
 */
export class OutgoingProxy {
  private readonly proxies = new Map<string, { pool: Pool; headers: Record<string, string> }>();

  constructor(private readonly options: OutgoingProxyOptions) {
    for (const protocol of ['https', 'http'] as const) {
      const url = options[protocol];
      if (url !== null) this.proxies.set(`${protocol}:`, openProxy(new URL(url)));
    }
  }

  /** Whether connections to this destination go through a proxy. */
  isFor(options: Pick<ConnectorOptions, 'protocol' | 'hostname' | 'port'>): boolean {
    const { protocol, hostname } = options;
    if (!this.proxies.has(protocol) || isLoopback(hostname)) return false;
    const destination = { hostname, port: effectivePort(options) };
    return !this.options.exceptions.some((entry) => isExempt(destination, entry));
  }

  /**
   * A connector for undici. The proxy is asked for the addresses that `resolve` returns, one after the other, or without
   * `resolve` for the host. Connects directly where no proxy is in the way. Fails with ProxyFailed, or as `resolve` does.
   */
  createConnector(timeoutMs: number, resolve?: Resolve): buildConnector.connector {
    const openDirectly = buildConnector({ timeout: timeoutMs });
    return (options, callback) => {
      if (!this.isFor(options)) return openDirectly(options, callback);
      this.openTunnel(options, AbortSignal.timeout(timeoutMs), resolve).then(
        (socket) => {
          if (options.protocol === 'https:') openDirectly({ ...options, httpSocket: socket }, callback);
          else callback(null, socket);
        },
        (error: Error) => callback(error, null),
      );
    };
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.proxies.values()].map(({ pool }) => pool.destroy()));
  }

  private async openTunnel(
    options: ConnectorOptions,
    signal: AbortSignal,
    resolve?: Resolve,
  ): Promise<Socket> {
    const port = effectivePort(options);
    const found = await resolve?.(options.hostname);
    // Few proxies have a route for IPv6.
    const addresses = found
      ?.map(({ address }) => address)
      .sort((a, b) => Number(isIPv6(a)) - Number(isIPv6(b)));
    let failure: unknown;
    for (const hostname of addresses?.slice(0, MAX_ADDRESSES) ?? [options.hostname]) {
      try {
        return await this.connect(options.protocol, { hostname, port }, signal);
      } catch (error) {
        failure = error;
        if (signal.aborted) break;
      }
    }
    throw failure;
  }

  private async connect(
    protocol: string,
    { hostname, port }: Destination,
    signal: AbortSignal,
  ): Promise<Socket> {
    const { pool, headers } = this.proxies.get(protocol) ?? {};
    if (!pool) throw new ProxyFailed('there is no proxy for this protocol');
    const path = `${isIPv6(hostname) ? `[${hostname}]` : hostname}:${port}`;
    const response = await pool
      .connect({ path, headers: { ...headers, host: path, 'user-agent': USER_AGENT }, signal })
      .catch((cause: unknown) => {
        throw new ProxyFailed(`the proxy did not answer (${codeOf(cause)})`, { cause });
      });
    const socket = response.socket as Socket;
    if (response.statusCode === 200) return socket;
    socket.on('error', () => undefined).destroy();
    throw new ProxyFailed(`the proxy refused the connection with status ${response.statusCode}`);
  }
}

function openProxy({ origin, username, password }: URL): { pool: Pool; headers: Record<string, string> } {
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
  return {
    pool: new Pool(origin),
    headers: credentials === ':' ? {} : { 'proxy-authorization': authorization },
  };
}

function codeOf(error: unknown): string {
  const { code, name } = Object(error) as { code?: string; name?: string };
  return code ?? name ?? 'unknown';
}
