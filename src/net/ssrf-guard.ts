import { type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { buildConnector } from 'undici';
import { FairSlots } from '../core/limits/fair-slots.js';
import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';
import { effectivePort, parseUrl } from '../core/primitives/url.js';
import { HostLookup } from './host-lookup.js';
import { type OutgoingProxy } from './outgoing-proxy.js';

/** A URL that must not be requested. `reason` is a clause for use inside a sentence, without path, query or IP address. */
export class UrlRefused extends Error {
  /** Whether DNS or a redirect led to the refusal. They may say something else the next time, unlike the URL itself. */
  readonly mayChange: boolean;

  constructor(
    readonly reason: string,
    { mayChange = false } = {},
  ) {
    super(`The URL was refused: ${reason}.`);
    this.name = 'UrlRefused';
    this.mayChange = mayChange;
  }
}

/** Resolves a host name to all its addresses, like `dns.lookup` with `all: true`. Rejects when there is none. Owners take turns. */
export type ResolveHost = (hostname: string, owner: string) => Promise<readonly LookupAddress[]>;

export interface SsrfGuardOptions {
  /** Private hosts to allow: `host` (any port) or `host:port`, IPv6 in brackets. Their URLs still pass the other checks. */
  allowPrivateHosts?: readonly string[];
  resolveHost?: ResolveHost;
  /** DNS timeout of `assertPublicUrl`. Default 2 s, because a caller waits for the result. Connections have their own timeout. */
  lookupTimeoutMs?: number;
}

const LOOKUP_TIMEOUT_MS = 2_000;
/**
 * Lookups of `assertPublicUrl` at the same time, in all and for one owner. Some name servers refuse more than 150 from a
 * machine.
 */
const MAX_CHECKS = 32;
const MAX_CHECKS_PER_OWNER = 8;

/** For the checks of URLs that callers send. */
const callerLookup = new HostLookup();
const callerLookups = new FairSlots({ capacity: MAX_CHECKS, maxPerOwner: MAX_CHECKS_PER_OWNER });
/** For connections, so that they do not wait for what callers send. */
const connectionLookup = new HostLookup();
/** Lower ports belong to mail, SSH, DNS and other services that might interpret an HTTP request as commands. */
const MIN_UNPRIVILEGED_PORT = 1024;
/** All public IPv6 that IANA has allocated. ipaddr.js also calls ::7f00:1 (the obsolete form of 127.0.0.1) unicast. */
const PUBLIC_IPV6 = ipaddr.parseCIDR('2000::/3');
/** Azure's WireServer, which serves a machine's configuration. It is in a public range but answered inside the cloud. */
const CLOUD_INTERNAL_ADDRESSES: readonly string[] = ['168.63.129.16'];

/**
 * Prevents server-side request forgery: URLs from callers and upstreams must not reach this machine, its network or a cloud's
 * metadata service. Connections go to exactly the addresses that were checked, so DNS rebinding does not help an attacker.
 */
export class SsrfGuard {
  private readonly allowedHosts: ReadonlySet<string>;
  private readonly resolveForCaller: ResolveHost;
  private readonly resolveForConnection: ResolveHost;
  private readonly lookupTimeoutMs: number;

  constructor(options: SsrfGuardOptions = {}) {
    this.allowedHosts = new Set(options.allowPrivateHosts?.map(requireEntry));
    const { resolveHost } = options;
    this.resolveForCaller = resolveHost ?? ((hostname, owner) => callerLookup.resolve(hostname, owner));
    this.resolveForConnection =
      resolveHost ?? ((hostname, owner) => connectionLookup.resolve(hostname, owner));
    this.lookupTimeoutMs = options.lookupTimeoutMs ?? LOOKUP_TIMEOUT_MS;
  }

  /** Checks protocol, credentials and port of a URL, but not its host. Throws UrlRefused. */
  checkUrl(url: string): URL {
    const parsed = requireHttpUrl(url);
    if (parsed.username || parsed.password) {
      throw new UrlRefused('the URL must not contain a user name or password');
    }
    // `effectivePort` fills in the protocol's default. The other protocol's default is allowed as well.
    const port = effectivePort(parsed);
    if (port >= MIN_UNPRIVILEGED_PORT || port === 80 || port === 443) return parsed;
    if (this.isAllowed(parsed.hostname, port)) return parsed;
    throw new UrlRefused(`port ${port} is not allowed; use 80, 443, or ${MIN_UNPRIVILEGED_PORT} and above`);
  }

  /**
   * Checks a URL that will be fetched later or by the upstream. Throws UrlRefused when it is invalid or leads to a private
   * host. A host that DNS cannot resolve within `lookupTimeoutMs` passes. Lookups take turns by `owner`, which is the workspace.
   */
  async assertPublicUrl(url: string, owner = ''): Promise<void> {
    const parsed = this.checkUrl(url);
    const hostname = normalizeHostname(parsed.hostname);
    if (this.isAllowed(hostname, effectivePort(parsed))) return;
    if (isPrivateHost(hostname)) throw privateHostRefused();
    if (isIP(hostname)) return;
    // Keep trailing dots: without them, the resolver might try the local search domain first and find another host.
    const { lookupTimeoutMs } = this;
    const lookup = callerLookups
      .run({ owner, maxWaitMs: lookupTimeoutMs }, () => this.resolveForCaller(parsed.hostname, owner))
      .catch((): LookupAddress[] => []);
    const addresses = await withTimeout(lookup, lookupTimeoutMs);
    if (addresses !== TIMED_OUT && !arePublic(addresses)) throw privateHostRefused({ mayChange: true });
  }

  /**
   * A connector for undici that only connects to public addresses and allowed hosts. Fails with UrlRefused otherwise. Where a
   * proxy is in the way, it is asked to connect to an address that was checked here, so that its DNS does not matter.
   */
  createConnector(timeoutMs: number, proxy?: OutgoingProxy): buildConnector.connector {
    const openAny = proxy?.createConnector(timeoutMs) ?? buildConnector({ timeout: timeoutMs });
    const openPublic = buildConnector({ timeout: timeoutMs, lookup: this.lookup });
    const openPublicThroughProxy = proxy?.createConnector(timeoutMs, (hostname) =>
      this.resolvePublic(hostname),
    );
    return (options, callback) => {
      const port = effectivePort(options);
      if (this.isAllowed(options.hostname, port)) return openAny(options, callback);
      // Node does not call `lookup` for IP addresses.
      if (isPrivateHost(normalizeHostname(options.hostname))) return callback(privateHostRefused(), null);
      if (openPublicThroughProxy && proxy?.isFor(options)) return openPublicThroughProxy(options, callback);
      openPublic(options, callback);
    };
  }

  /** Replaces `dns.lookup` in connections. The socket connects to exactly the addresses that this returns. */
  private readonly lookup: LookupFunction = (hostname, { all }, callback) => {
    this.resolvePublic(hostname).then(
      ([first, ...others]) =>
        all ? callback(null, [first, ...others]) : callback(null, first.address, first.family),
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };

  /** Every address of a public host, at least one. Throws UrlRefused when one of them is private. */
  private async resolvePublic(hostname: string): Promise<[LookupAddress, ...LookupAddress[]]> {
    const bare = normalizeHostname(hostname);
    const family = isIP(bare);
    const found = family ? [{ address: bare, family }] : await this.resolveForConnection(hostname, bare);
    if (!arePublic(found)) throw privateHostRefused({ mayChange: !family });
    const [first, ...others] = found;
    if (first) return [first, ...others];
    throw Object.assign(new Error('DNS returned no address for this host.'), { code: 'ENOTFOUND' });
  }

  private isAllowed(hostname: string, port: number): boolean {
    const host = normalizeHostname(hostname);
    return this.allowedHosts.has(host) || this.allowedHosts.has(`[${host}]:${port}`);
  }
}

/** Throws UrlRefused when the text is not a URL or has another protocol. */
export function requireHttpUrl(url: string): URL {
  const parsed = parseUrl(url);
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed;
  throw new UrlRefused('the URL must be a valid http or https URL');
}

/** Whether the text can be an entry of `allowPrivateHosts`. */
export function isHostEntry(entry: string): boolean {
  return normalizeEntry(entry) !== null;
}

function requireEntry(entry: string): string {
  const normalized = normalizeEntry(entry);
  if (normalized !== null) return normalized;
  throw new Error(
    `ALLOW_PRIVATE_HOSTS contains "${entry}", which is not a host. Use host or host:port, with IPv6 in brackets.`,
  );
}

/** Normalizes an entry of `allowPrivateHosts` the way URLs are, so that `LOCALHOST` and `127.1` match. */
function normalizeEntry(entry: string): string | null {
  const [, host = '', port] = /^(\[[^\]]*\]|[^:/?#@\\]+)(?::(\d{1,5}))?$/.exec(entry.trim()) ?? [];
  const url = parseUrl(`http://${host}/`);
  if (!url || host.includes('*')) return null;
  const bare = normalizeHostname(url.hostname);
  return port === undefined ? bare : `[${bare}]:${Number(port)}`;
}

/** The host of a parsed URL (already lower-case ASCII) without brackets and trailing dots. */
function normalizeHostname(hostname: string): string {
  if (hostname.startsWith('[')) return hostname.slice(1, -1);
  let end = hostname.length;
  while (hostname[end - 1] === '.') end -= 1;
  return hostname.slice(0, end);
}

/** Whether a URL names a private IP address or localhost. Does not query DNS. */
export function isPrivateUrl(url: string): boolean {
  const parsed = parseUrl(url);
  return parsed !== null && isPrivateHost(normalizeHostname(parsed.hostname));
}

/** Private IP addresses, and the names that always resolve to the local machine (RFC 6761). */
function isPrivateHost(hostname: string): boolean {
  return isIP(hostname) ? !isPublic(hostname) : /(^|\.)localhost$/.test(hostname);
}

/** The same reason for an IP address and a DNS result, so that callers learn nothing about names in the private network. */
function privateHostRefused(options?: { mayChange: boolean }): UrlRefused {
  return new UrlRefused('its host is not on the public internet', options);
}

/** A single private address is enough to refuse a host, because the socket may connect to any of its addresses. */
function arePublic(addresses: readonly LookupAddress[]): boolean {
  return addresses.every(({ address }) => isPublic(address));
}

function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address) || CLOUD_INTERNAL_ADDRESSES.includes(address)) return false;
  const parsed = ipaddr.parse(address);
  // Ranges that embed another address (IPv4-mapped, 6to4, Teredo, NAT64) are not `unicast` for ipaddr.js.
  if (parsed.range() !== 'unicast') return false;
  return parsed.kind() === 'ipv4' || parsed.match(PUBLIC_IPV6);
}
