import { type IncomingMessage } from 'node:http';

/** The address that a request came from; null for a connection that is gone. */
export type ClientAddressOf = (request: IncomingMessage) => string | null;

/**
 * Reads the client's address: the socket's, or, behind `trustedProxies` proxies of our own, the one that the outermost of
 * them has seen. What lies further back in X-Forwarded-For is what a client says of itself, and is not believed.
 */
export function clientAddressReader(trustedProxies: number): ClientAddressOf {
  return ({ socket, headers }) => {
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
    const seen = forwarded.map((address) => address.trim()).filter((address) => address !== '');
    const nearestFirst = [socket.remoteAddress ?? '', ...seen.reverse()];
    const address = nearestFirst[Math.min(trustedProxies, nearestFirst.length - 1)] ?? '';
    return address === '' ? null : address.replace(/^::ffff:(?=\d+\.)/i, '').slice(0, MAX_LENGTH);
  };
}

/** The longest an IPv6 address with a zone is written; a header can hold anything. */
const MAX_LENGTH = 64;
