import { expect } from '@jest/globals';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  SsrfGuard,
  UrlRefused,
  type SsrfGuardOptions,
  type ResolveHost,
} from '../../../src/net/ssrf-guard.js';
import { IncomingFiles } from '../../../src/storage/incoming-files.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { type RequestFailed } from '../../../src/net/request-failed.js';
import { DNS_RECORDS } from './hostile-urls.js';
import { CapturedNetwork } from './captured-network.js';
import { expectRequestFailed, TestHttpServer, reply } from './test-http-server.js';

export const NOT_PUBLIC_REASON = 'its host is not on the public internet';
/** A URL whose host is public and known to the tests' DNS. */
export const PUBLIC_IMAGE_URL = 'http://pictures.example/a.png';

/** Guarded clients in a simulated internet of two servers. */
export class GuardedNetwork {
  /** The names that DNS was queried for. */
  readonly dnsQueries: string[] = [];
  private readonly clients: HttpClient[] = [];

  private constructor(
    readonly publicServer: TestHttpServer,
    /** Receives every connection that should have been refused. */
    readonly privateServer: TestHttpServer,
    readonly network: CapturedNetwork,
    private readonly folder: string,
  ) {
    for (const host of ['pictures.example', ...(DNS_RECORDS['pictures.example'] ?? [])])
      network.route(host, publicServer);
  }

  static async open(): Promise<GuardedNetwork> {
    const publicServer = await TestHttpServer.open(reply(200, 'image'));
    const privateServer = await TestHttpServer.open(reply(200, 'secret'));
    const folder = await mkdtemp(join(tmpdir(), 'darkroom-guard-'));
    return new GuardedNetwork(publicServer, privateServer, new CapturedNetwork(privateServer), folder);
  }

  async close(): Promise<void> {
    this.network.restore();
    await Promise.all(this.clients.map((client) => client.destroy()));
    await Promise.all([this.publicServer.close(), this.privateServer.close()]);
    await rm(this.folder, { recursive: true });
  }

  /** A guard that uses the tests' DNS unless `options` has another one. */
  guard(options: SsrfGuardOptions = {}): SsrfGuard {
    const resolveHost: ResolveHost = async (hostname) => {
      this.dnsQueries.push(hostname);
      const found = DNS_RECORDS[hostname];
      if (!found) throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
      return Promise.resolve(found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
    };
    return new SsrfGuard({ resolveHost, ...options });
  }

  client(guard: SsrfGuard): HttpClient {
    const client = new HttpClient({ guard });
    this.clients.push(client);
    return client;
  }

  /** Downloads a URL with a new guarded client and returns the text. */
  async download(url: string, options?: SsrfGuardOptions): Promise<string> {
    const path = join(this.folder, 'image');
    try {
      const limits = { maxBytes: 1_000, timeoutMs: 10_000, files: new IncomingFiles(this.folder) };
      await this.client(this.guard(options)).download(url, path, limits);
      return await readFile(path, 'utf8');
    } finally {
      await rm(path, { force: true });
    }
  }

  /** Asserts that a download is refused for this reason and that nothing reached the private server. */
  async expectRefused(url: string, reason: string, options?: SsrfGuardOptions): Promise<RequestFailed> {
    const failure = await expectRequestFailed(this.download(url, options));
    expect(failure).toMatchObject({ sent: 'no', reason, cause: { reason } });
    expect(failure.cause).toBeInstanceOf(UrlRefused);
    await this.expectNothingArrived();
    return failure;
  }

  async expectNothingArrived(): Promise<void> {
    expect(this.privateServer.sockets.size).toBe(0);
    await expect(readdir(this.folder)).resolves.toEqual([]);
  }
}

/** A DNS that returns the next of these addresses for each query, and then 127.0.0.1. */
export function changingDns(...addresses: string[]): { resolveHost: ResolveHost } {
  const resolveHost: ResolveHost = async () =>
    Promise.resolve([{ address: addresses.shift() ?? '127.0.0.1', family: 4 }]);
  return { resolveHost };
}
