import { promises as dns, type LookupAddress } from 'node:dns';
import { FairSlots, NoFreeSlot } from '../core/limits/fair-slots.js';

/** An attempt to ask a name server, and the number of attempts. Later ones take longer. */
const QUERY_TIMEOUT_MS = 2_000;
const QUERY_TRIES = 2;
/** Changes to the name servers of this machine are noticed after this time. */
const RESOLVER_MAX_AGE_MS = 30_000;
/**
 * Lookups of the operating system at the same time, for checks and for connections each. Node.js has threads for 8 of them
 * (src/config/thread-pool.ts), and those of our own hosts, such as PostgreSQL and the bucket, need the rest.
 */
const MAX_SYSTEM_LOOKUPS = 2;
const SYSTEM_LOOKUP_WAIT_MS = 5_000;
/** DNS has answered that it does not know the name, or there is no name server on this machine. */
const UNKNOWN_TO_DNS: readonly string[] = ['ENOTFOUND', 'ENODATA', 'ECONNREFUSED', 'EBADNAME'];

export interface HostLookupOptions {
  /** Name servers as `address:port`. Default: those of this machine. */
  nameServers?: readonly string[];
}

/**
 * Looks up host names that callers and upstreams choose. Their name servers may never answer, and `dns.lookup` would keep a
 * thread for each such name meanwhile. So DNS is asked without threads. Only names that DNS does not know, such as those of the
 * hosts file or of a search domain, go to the operating system, and only a few at a time.
 */
export class HostLookup {
  private resolver: dns.Resolver;
  private resolverCreatedAt = performance.now();
  private readonly systemLookups = new FairSlots({ capacity: MAX_SYSTEM_LOOKUPS, maxPerOwner: 1 });

  constructor(private readonly options: HostLookupOptions = {}) {
    this.resolver = this.createResolver();
  }

  /**
   * All addresses of a host, at least one. Rejects with the codes of `dns.lookup`: ENOTFOUND, and EAI_AGAIN when no name server has
   * answered that knows the host's top-level domain. Lookups by the operating system take turns by `owner`.
   */
  async resolve(hostname: string, owner: string): Promise<LookupAddress[]> {
    const resolver = this.currentResolver();
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (addresses.length > 0)
      return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    const failures = answers.flatMap((answer) =>
      answer.status === 'rejected' ? [answer.reason as NodeJS.ErrnoException] : [],
    );
    const failure = failures.find(({ code = '' }) => !UNKNOWN_TO_DNS.includes(code));
    if (failure) throw unresolved(failure);
    return this.askSystem(hostname, owner).catch(async (error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOTFOUND' && !(await knowsTopLevelOf(hostname, resolver))
        ? unresolved(error)
        : error;
    });
  }

  /** Without the usual ADDRCONFIG hint, so that addresses without a route from here are checked too. */
  private async askSystem(hostname: string, owner: string): Promise<LookupAddress[]> {
    const request = { owner, maxWaitMs: SYSTEM_LOOKUP_WAIT_MS };
    return this.systemLookups
      .run(request, () => dns.lookup(hostname, { all: true }))
      .catch((error: unknown) => {
        throw error instanceof NoFreeSlot ? unresolved(error) : error;
      });
  }

  private currentResolver(): dns.Resolver {
    if (performance.now() - this.resolverCreatedAt > RESOLVER_MAX_AGE_MS) {
      this.resolver = this.createResolver();
      this.resolverCreatedAt = performance.now();
    }
    return this.resolver;
  }

  private createResolver(): dns.Resolver {
    const resolver = new dns.Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES });
    const { nameServers } = this.options;
    if (nameServers) resolver.setServers(nameServers);
    return resolver;
  }
}

/**
 * Whether DNS knows the top-level domain of a name. A name server that does not, such as one without a way to the internet, knows
 * no public name, so its word about this one means nothing. True for a name without a domain, which is not public.
 */
async function knowsTopLevelOf(hostname: string, resolver: dns.Resolver): Promise<boolean> {
  const topLevel = /\.([^.]+)\.?$/.exec(hostname)?.[1];
  if (topLevel === undefined) return true;
  return resolver.resolveNs(topLevel).then(
    (servers) => servers.length > 0,
    () => false,
  );
}

function unresolved(cause: Error): Error {
  return Object.assign(new Error('The host name could not be resolved.', { cause }), { code: 'EAI_AGAIN' });
}
