import { lookup } from 'node:dns/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { HostLookup } from '../../src/net/host-lookup.js';
import { HttpClient } from '../../src/net/http-client.js';
import { SsrfGuard } from '../../src/net/ssrf-guard.js';
import { NameServer } from '../support/net/name-server.js';
import { waitFor } from '../support/wait-for.js';

const IPV6 = '2606:2800:220:1:0:0:0:1';
let nameServer: NameServer;
let hosts: HostLookup;
beforeEach(async () => {
  nameServer = await NameServer.open({
    'both.test': ['93.184.216.34', IPV6],
    'four.test': ['93.184.216.34', '93.184.216.35'],
    'six.test': [IPV6],
    'private.test': ['10.0.0.1'],
    'none.test': [],
  });
  hosts = new HostLookup({ nameServers: [nameServer.address] });
});
afterEach(() => nameServer.close());

const addressesOf = async (hostname: string) =>
  (await hosts.resolve(hostname, 'a')).map(({ address, family }) => `${family} ${address}`).sort();

test('finds all addresses of both families', async () => {
  await expect(addressesOf('both.test')).resolves.toEqual(['4 93.184.216.34', '6 2606:2800:220:1::1']);
  await expect(addressesOf('four.test.')).resolves.toEqual(['4 93.184.216.34', '4 93.184.216.35']);
  await expect(addressesOf('six.test')).resolves.toEqual(['6 2606:2800:220:1::1']);
});

test('asks the operating system for names that DNS does not know, such as those of the hosts file', async () => {
  const local = await lookup('localhost', { all: true });
  await expect(hosts.resolve('localhost', 'a')).resolves.toEqual(local);
  for (const name of ['unknown.test', 'none.test'])
    await expect(hosts.resolve(name, 'a')).rejects.toMatchObject({ code: 'ENOTFOUND' });
});

test('does not take the word of a name server that knows no top-level domain that a name does not exist', async () => {
  const ignorant = await NameServer.open({ 'both.test': ['93.184.216.34'] }, []);
  const lookups = new HostLookup({ nameServers: [ignorant.address] });
  await expect(lookups.resolve('both.test', 'a')).resolves.toHaveLength(1);
  for (const name of ['unknown.test', 'unknown.test.'])
    await expect(lookups.resolve(name, 'a')).rejects.toMatchObject({ code: 'EAI_AGAIN' });
  // A name without a domain is not a public one.
  await expect(lookups.resolve('unknown', 'a')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  ignorant.close();
  await expect(lookups.resolve('unknown.test', 'a')).rejects.toMatchObject({ code: 'EAI_AGAIN' });
});

test('asks the operating system also when this machine has no name server', async () => {
  const { address } = nameServer;
  nameServer.close();
  const lookups = new HostLookup({ nameServers: [address] });
  await expect(lookups.resolve('localhost', 'a')).resolves.not.toEqual([]);
  nameServer = await NameServer.open();
});

test('names whose name server never answers keep no thread, so other lookups do not wait for them', async () => {
  const names = Array.from({ length: 100 }, (_, index) => `${index}.silent.test`);
  let ended = 0;
  const lookups = names.map((name) => hosts.resolve(name, 'a').finally(() => (ended += 1)));
  const outcomes = Promise.allSettled(lookups);
  await waitFor('all queries', () => names.every((name) => nameServer.queries.includes(name)));
  await expect(addressesOf('both.test')).resolves.toHaveLength(2);
  await expect(lookup('localhost')).resolves.toBeDefined();
  expect(ended).toBe(0);
  const client = new HttpClient({
    guard: new SsrfGuard({ resolveHost: (name) => hosts.resolve(name, name) }),
  });
  // Such a host is silent, so its images are kept.
  await expect(client.postJson('http://host.silent.test/', {}, { timeoutMs: 20_000 })).rejects.toMatchObject({
    sent: 'no',
    hasTimedOut: true,
  });
  await client.destroy();
  for (const outcome of await outcomes)
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'EAI_AGAIN' } });
});

/** A guard whose lookups last until `answer` is called, and the host names that it has looked up. */
function holdLookups() {
  const asked: string[] = [];
  let answer: () => void = () => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const guard = new SsrfGuard({
    resolveHost: async (hostname) => {
      asked.push(hostname);
      await answered;
      return [];
    },
    lookupTimeoutMs: 10_000,
  });
  return { guard, asked, answer: () => answer() };
}

// Enforces MAX_CHECKS_PER_OWNER in src/net/ssrf-guard.ts.
test('lookups of one workspace leave room for those of others', async () => {
  const { guard, asked, answer } = holdLookups();
  const checks = Array.from({ length: 100 }, (_, index) =>
    guard.assertPublicUrl(`http://a${index}.test/`, 'a'),
  );
  checks.push(guard.assertPublicUrl('http://b.test/', 'b'));
  await waitFor('the lookup of the other workspace', () => asked.includes('b.test'));
  expect(asked.length).toBeLessThan(10);
  answer();
  await Promise.all(checks);
  expect(asked).toHaveLength(101);
});

// Enforces MAX_CHECKS in src/net/ssrf-guard.ts.
test('lookups of many workspaces are bounded together', async () => {
  const { guard, asked, answer } = holdLookups();
  const checks = Array.from({ length: 100 }, (_, index) =>
    guard.assertPublicUrl(`http://a${index}.test/`, `workspace ${index % 20}`),
  );
  await waitFor('the first lookups', () => asked.length > 0);
  expect(asked).toHaveLength(32);
  answer();
  await Promise.all(checks);
  expect(asked).toHaveLength(100);
});
