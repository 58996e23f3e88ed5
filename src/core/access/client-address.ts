import { type IncomingMessage } from 'node:http';

/** Returns the client's address of a request. Null when the connection is closed. */
export type GetClientAddress = (request: IncomingMessage) => string | null;

/**
 * Creates a reader of client addresses. Without proxies it returns the socket's address. Behind `trustedProxyCount`
 * proxies it returns the address that the outermost proxy saw. Earlier entries of X-Forwarded-For are ignored, because
 * the client can set them.
 */
export function createClientAddressReader(trustedProxyCount: number): GetClientAddress {
  return ({ socket, headers }) => {
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
    const forwardedAddresses = forwarded.map((address) => address.trim()).filter((address) => address !== '');
    const nearestFirst = [socket.remoteAddress ?? '', ...forwardedAddresses.reverse()];
    const address = nearestFirst[Math.min(trustedProxyCount, nearestFirst.length - 1)] ?? '';
    return address === '' ? null : address.replace(/^::ffff:(?=\d+\.)/i, '').slice(0, MAX_ADDRESS_LENGTH);
  };
}

/** Long enough for an IPv6 address with a zone. The header can hold any text. */
const MAX_ADDRESS_LENGTH = 64;
