import { expect } from '@jest/globals';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AddressGuard, AddressRefused, type GuardOptions, type Resolve } from '../../../src/net/guard.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { type RequestFailed } from '../../../src/net/request-failed.js';
import { DNS } from './hostile-urls.js';
import { Network } from './captured-network.js';
import { failureOf, Peer, reply } from './http-peer.js';

export const NOT_PUBLIC = 'its host is not on the public internet';
/** Its host is known to DNS and public. */
export const PICTURE = 'http://pictures.example/a.png';

/** Guarded clients in an internet of two servers. */
export class GuardedWorld {
  /** The names that DNS was asked for. */
  readonly asked: string[] = [];
  private readonly clients: HttpClient[] = [];

  private constructor(
    /** The public server. */
    readonly front: Peer,
    /** Where every connection ends that should not have been opened. */
    readonly victim: Peer,
    readonly network: Network,
    private readonly folder: string,
  ) {
    for (const host of ['pictures.example', ...(DNS['pictures.example'] ?? [])]) network.route(host, front);
  }

  static async open(): Promise<GuardedWorld> {
    const front = await Peer.open(reply(200, 'picture'));
    const victim = await Peer.open(reply(200, 'secret'));
    const folder = await mkdtemp(join(tmpdir(), 'guard-'));
    return new GuardedWorld(front, victim, new Network(victim), folder);
  }

  async close(): Promise<void> {
    this.network.restore();
    await Promise.all(this.clients.map((client) => client.destroy()));
    await Promise.all([this.front.close(), this.victim.close()]);
    await rm(this.folder, { recursive: true });
  }

  /** A guard that asks the tests' DNS, unless it is given another one. */
  guard(options: GuardOptions = {}): AddressGuard {
    const resolve: Resolve = async (hostname) => {
      this.asked.push(hostname);
      const found = DNS[hostname];
      if (!found) throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
      return Promise.resolve(found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
    };
    return new AddressGuard({ resolve, ...options });
  }

  client(guard: AddressGuard): HttpClient {
    const client = new HttpClient({ guard });
    this.clients.push(client);
    return client;
  }

  /** What a client of its own brings from there. */
  async download(url: string, options?: GuardOptions): Promise<string> {
    const path = join(this.folder, 'picture');
    try {
      const limits = { maxBytes: 1_000, timeoutMs: 10_000 };
      await this.client(this.guard(options)).download(url, path, limits);
      return await readFile(path, 'utf8');
    } finally {
      await rm(path, { force: true });
    }
  }

  /** That a download fails for this reason, and that nothing reached the victim. */
  async expectRefused(url: string, reason: string, options?: GuardOptions): Promise<RequestFailed> {
    const failure = await failureOf(this.download(url, options));
    expect(failure).toMatchObject({ sent: 'no', reason, cause: { reason } });
    expect(failure.cause).toBeInstanceOf(AddressRefused);
    await this.expectNothingArrived();
    return failure;
  }

  async expectNothingArrived(): Promise<void> {
    expect(this.victim.sockets.size).toBe(0);
    await expect(readdir(this.folder)).resolves.toEqual([]);
  }
}

/** A DNS that gives one address at a time: the next one at every look-up, then 127.0.0.1. */
export function changingDns(...answers: string[]): { resolve: Resolve } {
  const resolve: Resolve = async () =>
    Promise.resolve([{ address: answers.shift() ?? '127.0.0.1', family: 4 }]);
  return { resolve };
}
