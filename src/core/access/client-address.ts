import { type IncomingMessage } from 'node:http';
import proxyAddr from 'proxy-addr';

/** Returns the client's address of a request. Null when the connection is closed. */
export type GetClientAddress = (request: IncomingMessage) => string | null;

/** Long enough for an IPv6 address with a zone. The header can hold any text. */
const MAX_ADDRESS_LENGTH = 64;

/**
 * Creates a reader of client addresses. Without proxies it returns the socket's address. Behind `trustedProxyCount`
 * proxies it returns the address that the outermost proxy saw. Earlier entries of X-Forwarded-For are ignored, because
 * the client can set them.
 */
export function createClientAddressReader(trustedProxyCount: number): GetClientAddress {
  return (request) => {
    // Undefined when the connection is closed, unlike its type says.
    const address = proxyAddr(request, (_address, hop) => hop < trustedProxyCount) as string | undefined;
    // proxy-addr removes spaces around an entry of the header, but no tabs.
    return (
      address
        ?.trim()
        .replace(/^::ffff:(?=\d+\.)/i, '')
        .slice(0, MAX_ADDRESS_LENGTH) || null
    );
  };
}
