import { jest } from '@jest/globals';
import { isIP, Socket, type LookupFunction, type TcpNetConnectOpts } from 'node:net';
import { type TestHttpServer } from './test-http-server.js';

/** The normalized arguments that `net.connect` and `tls.connect` pass to `Socket.connect`. */
type ConnectArguments = [TcpNetConnectOpts | [TcpNetConnectOpts], ...unknown[]];

/**
 * A simulated internet. While it exists, every connection of this process ends at one of the test servers, whatever its
 * address. A request that a guard lets through by mistake therefore arrives visibly instead of failing by chance.
 */
export class CapturedNetwork {
  /** Every connection attempt: the addresses it could have used and its port. */
  readonly connectionAttempts: string[] = [];
  private readonly routes = new Map<string, TestHttpServer>();
  private readonly spy: { mockRestore(): void };

  /** Connections to hosts without a route end at `fallback`. */
  constructor(private readonly fallback: TestHttpServer) {
    const redirect = (options: TcpNetConnectOpts) => this.redirect(options);
    const prototype = Socket.prototype as { connect: (this: Socket, ...args: ConnectArguments) => Socket };
    const { connect } = prototype;
    this.spy = jest.spyOn(prototype, 'connect').mockImplementation(function (this: Socket, ...args) {
      redirect(Array.isArray(args[0]) ? args[0][0] : args[0]);
      return connect.apply(this, args);
    });
  }

  /** Sends connections to `host` to a server. `host` is a name or an IP address, optionally with a port. */
  route(host: string, server: TestHttpServer): void {
    this.routes.set(host, server);
  }

  restore(): void {
    this.spy.mockRestore();
  }

  private redirect(options: TcpNetConnectOpts): void {
    const { host = 'localhost', port, lookup } = options;
    const server = this.routes.get(`${host}:${port}`) ?? this.routes.get(host) ?? this.fallback;
    options.port = server.port;
    if (isIP(host)) {
      this.connectionAttempts.push(`${host} ${port}`);
      options.host = '127.0.0.1';
      return;
    }
    const capturedLookup: LookupFunction = (hostname, hints, callback) => {
      const respond = (addresses: string[]) => {
        this.connectionAttempts.push(`${addresses.join(' ')} ${port}`);
        if (hints.all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
        else callback(null, '127.0.0.1', 4);
      };
      // A connection without its own lookup would query the real DNS.
      if (!lookup) return respond([hostname]);
      lookup(hostname, hints, (error, found) => {
        if (error) callback(error, '');
        else respond(Array.isArray(found) ? found.map(({ address }) => address) : [found]);
      });
    };
    options.lookup = capturedLookup;
  }
}
