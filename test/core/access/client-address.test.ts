import { type IncomingMessage } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { createClientAddressReader } from '../../../src/core/access/client-address.js';

function addressOf(proxies: number, remoteAddress: string | undefined, forwardedFor?: string): string | null {
  const headers = forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor };
  return createClientAddressReader(proxies)({ socket: { remoteAddress }, headers } as IncomingMessage);
}

describe('the address of a client', () => {
  test('is that of the socket without proxies, whatever the header says', () => {
    expect(addressOf(0, '203.0.113.7', '198.51.100.1')).toBe('203.0.113.7');
  });

  test.each([
    [1, '198.51.100.2'],
    [2, '198.51.100.1'],
    [3, '192.0.2.1'],
    [9, '192.0.2.1'],
  ])('is the one that the outermost of %i proxies saw', (proxies, address) => {
    const header = '192.0.2.1, ,198.51.100.1 ,198.51.100.2';
    expect(addressOf(proxies, '10.0.0.1', header)).toBe(address);
    expect(addressOf(proxies, '10.0.0.1')).toBe('10.0.0.1');
  });

  test('is unknown when the connection is closed', () => {
    expect(addressOf(0, undefined)).toBeNull();
  });

  test('has no prefix for IPv4, and a bounded length', () => {
    expect(addressOf(0, '::ffff:203.0.113.7')).toBe('203.0.113.7');
    expect(addressOf(0, '::ffff:1')).toBe('::ffff:1');
    expect(addressOf(1, '10.0.0.1', 'x'.repeat(1_000))).toBe('x'.repeat(64));
  });

  test('has no white space around it', () => {
    expect(addressOf(2, '10.0.0.1', '198.51.100.1\t, 10.0.0.2')).toBe('198.51.100.1');
  });
});
