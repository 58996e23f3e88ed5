import { promises as dns, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { buildConnector } from 'undici';
import { parseUrl } from '../core/primitives/url.js';

/** Somebody's address that we do not go to. `reason` can stand inside a sentence and holds no path, query or address. */
export class AddressRefused extends Error {
  constructor(readonly reason: string) {
    super(`The address was refused: ${reason}.`);
    this.name = 'AddressRefused';
  }
}

/** Every address of a host name, as `dns.lookup` with `all: true` gives them. Rejects when there is none. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface GuardOptions {
  /** `host` (any port) or `host:port`, with IPv6 in brackets: may be private. Their URLs are checked all the same. */
  allowPrivateHosts?: readonly string[];
  resolve?: Resolve;
  /** For `mayReach`; a connection has its own limit. Default 2 s: a caller waits for the answer. */
  lookupTimeoutMs?: number;
}

const LOOKUP_TIMEOUT_MS = 2_000;
/** Below it are mail, SSH, DNS and other services that could take an HTTP request for commands. */
const FIRST_FREE_PORT = 1024;
const DEFAULT_PORTS = new Map([
  ['http:', 80],
  ['https:', 443],
]);
/** All IPv6 that IANA has given out for the public. ipaddr.js calls ::7f00:1, which is 127.0.0.1 of old, unicast too. */
const PUBLIC_IPV6 = ipaddr.parseCIDR('2000::/3');
/** In a public range, and yet answered by the cloud itself: Azure's WireServer, which hands out a machine's settings. */
const CLOUD_OWN: readonly string[] = ['168.63.129.16'];

/**
 * Keeps us from going where a stranger's URL should not lead: this machine, its network, a cloud's metadata. Connections
 * go to exactly the addresses that were checked, so a name that changes its mind between two look-ups gains nothing.
 */
export class AddressGuard {
  private readonly allowed: ReadonlySet<string>;
  private readonly resolve: Resolve;
  private readonly lookupTimeoutMs: number;

  constructor(options: GuardOptions = {}) {
    this.allowed = new Set(options.allowPrivateHosts?.map(normalizeEntry));
    // Without the usual ADDRCONFIG hint: also the addresses that this machine has no route to are looked at.
    this.resolve = options.resolve ?? ((hostname) => dns.lookup(hostname, { all: true }));
    this.lookupTimeoutMs = options.lookupTimeoutMs ?? LOOKUP_TIMEOUT_MS;
  }

  /** What a URL tells by itself: its protocol, credentials and port. Says nothing of its host. Throws AddressRefused. */
  checkUrl(url: string): URL {
    const parsed = parseHttpUrl(url);
    if (parsed.username || parsed.password) {
      throw new AddressRefused('the address holds a user name or a password');
    }
    // A URL leaves out the default port of its protocol; the other one's is welcome too.
    const port = portOf(parsed);
    if (port >= FIRST_FREE_PORT || port === 80 || port === 443) return parsed;
    if (this.isAllowed(parsed.hostname, port)) return parsed;
    throw new AddressRefused(
      `port ${port} is used for other things than HTTP, which is at 80, 443, and ${FIRST_FREE_PORT} and above`,
    );
  }

  /**
   * For a URL that somebody else will fetch, or we much later: throws AddressRefused when it is known to lead to where
   * it should not. A host that DNS does not answer for passes.
   */
  async mayReach(url: string): Promise<void> {
    const parsed = this.checkUrl(url);
    const hostname = bareHost(parsed.hostname);
    if (this.isAllowed(hostname, portOf(parsed))) return;
    if (isPrivateName(hostname)) throw hostRefused();
    if (isIP(hostname)) return;
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<null>((done) => (timer = setTimeout(done, this.lookupTimeoutMs, null)));
    // With the dots at its end: a name without them may be looked for in our own domain first, and be another one.
    const found = await Promise.race([this.resolve(parsed.hostname).catch(() => null), tooLate]);
    clearTimeout(timer);
    if (found && !arePublic(found)) throw hostRefused();
  }

  /** Opens connections for undici, to public addresses and the hosts of the list alone. Fails with AddressRefused. */
  connector(timeout: number): buildConnector.connector {
    const openAny = buildConnector({ timeout });
    const openPublic = buildConnector({ timeout, lookup: this.lookup });
    return (options, callback) => {
      const port = Number(options.port || DEFAULT_PORTS.get(options.protocol));
      if (this.isAllowed(options.hostname, port)) return openAny(options, callback);
      // Node never asks `lookup` about a literal address.
      if (isPrivateName(bareHost(options.hostname))) return callback(hostRefused(), null);
      openPublic(options, callback);
    };
  }

  /** In the place of `dns.lookup` in a connection: what it hands on is what is connected to. */
  private readonly lookup: LookupFunction = (hostname, { all }, callback) => {
    const checked = this.resolve(hostname).then((found) => {
      if (!arePublic(found)) throw hostRefused();
      const [first] = found;
      if (first) return { first, found };
      throw Object.assign(new Error('DNS knows no address of this host.'), { code: 'ENOTFOUND' });
    });
    checked.then(
      ({ first, found }) => (all ? callback(null, [...found]) : callback(null, first.address, first.family)),
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };

  private isAllowed(hostname: string, port: number): boolean {
    const host = bareHost(hostname);
    return this.allowed.has(host) || this.allowed.has(`[${host}]:${port}`);
  }
}

/** Throws AddressRefused for what is no URL, and for other protocols. */
export function parseHttpUrl(url: string): URL {
  const parsed = parseUrl(url);
  if (parsed && DEFAULT_PORTS.has(parsed.protocol)) return parsed;
  throw new AddressRefused('the address is not an http or https URL');
}

/** As `isAllowed` looks for it. Reads the host as a URL's, so that `LOCALHOST` and `127.1` are what they mean. */
function normalizeEntry(entry: string): string {
  const [, host = '', port] = /^(\[[^\]]*\]|[^:/?#@\\]+)(?::(\d{1,5}))?$/.exec(entry.trim()) ?? [];
  const url = parseUrl(`http://${host}/`);
  if (!url) throw new Error(`"${entry}" is not a host or host:port.`);
  const bare = bareHost(url.hostname);
  return port === undefined ? bare : `[${bare}]:${Number(port)}`;
}

/** The host of a parsed URL, which is lower-case ASCII by then, without brackets and without the dots at its end. */
function bareHost(hostname: string): string {
  if (hostname.startsWith('[')) return hostname.slice(1, -1);
  let end = hostname.length;
  while (hostname[end - 1] === '.') end -= 1;
  return hostname.slice(0, end);
}

function portOf(url: URL): number {
  return Number(url.port || DEFAULT_PORTS.get(url.protocol));
}

/** Whether a URL leads into a private network by its literal address, or to this machine by name. DNS is not asked. */
export function isPrivateUrl(url: string): boolean {
  const parsed = parseUrl(url);
  return parsed !== null && isPrivateName(bareHost(parsed.hostname));
}

/** Literal addresses, and the names that mean "this machine" (RFC 6761) to whoever looks them up. */
function isPrivateName(hostname: string): boolean {
  return isIP(hostname) ? !isPublic(hostname) : /(^|\.)localhost$/.test(hostname);
}

/** The same words for a literal and for what DNS said: a stranger learns nothing of the names in our network. */
function hostRefused(): AddressRefused {
  return new AddressRefused('its host is not on the public internet');
}

/** One private address among public ones is enough: which of them would be connected to is a matter of chance. */
function arePublic(found: readonly LookupAddress[]): boolean {
  return found.every(({ address }) => isPublic(address));
}

function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address) || CLOUD_OWN.includes(address)) return false;
  const parsed = ipaddr.parse(address);
  // Addresses that carry another one inside (IPv4-mapped, 6to4, Teredo, NAT64) have ranges of their own.
  if (parsed.range() !== 'unicast') return false;
  return parsed.kind() === 'ipv4' || parsed.match(PUBLIC_IPV6);
}
