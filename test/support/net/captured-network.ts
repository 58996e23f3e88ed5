import { jest } from '@jest/globals';
import { isIP, Socket, type LookupFunction, type TcpNetConnectOpts } from 'node:net';
import { type Peer } from './http-peer.js';

/** What `net.connect` and `tls.connect` make of their arguments. */
type ConnectArguments = [TcpNetConnectOpts | [TcpNetConnectOpts], ...unknown[]];

/**
 * The internet in a box. While it is there, every connection that this process opens ends at one of our peers, whatever
 * its address: what a guard lets through does not fail by chance, it is seen to arrive.
 */
export class Network {
  /** Every connection that was begun: the addresses that it could have gone to, and its port. */
  readonly dialled: string[] = [];
  private readonly routes = new Map<string, Peer>();
  private readonly spy: { mockRestore(): void };

  /** Connections to hosts without a route end at `elsewhere`. */
  constructor(private readonly elsewhere: Peer) {
    const divert = (options: TcpNetConnectOpts) => this.divert(options);
    const prototype = Socket.prototype as { connect: (this: Socket, ...args: ConnectArguments) => Socket };
    const { connect } = prototype;
    this.spy = jest.spyOn(prototype, 'connect').mockImplementation(function (this: Socket, ...args) {
      divert(Array.isArray(args[0]) ? args[0][0] : args[0]);
      return connect.apply(this, args);
    });
  }

  /** `host` is a name or an address, or one of them with a port. */
  route(host: string, peer: Peer): void {
    this.routes.set(host, peer);
  }

  restore(): void {
    this.spy.mockRestore();
  }

  private divert(options: TcpNetConnectOpts): void {
    const { host = 'localhost', port, lookup } = options;
    const peer = this.routes.get(`${host}:${port}`) ?? this.routes.get(host) ?? this.elsewhere;
    options.port = peer.port;
    if (isIP(host)) {
      this.dialled.push(`${host} ${port}`);
      options.host = '127.0.0.1';
      return;
    }
    const diverted: LookupFunction = (hostname, hints, callback) => {
      const handOn = (addresses: string[]) => {
        this.dialled.push(`${addresses.join(' ')} ${port}`);
        if (hints.all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
        else callback(null, '127.0.0.1', 4);
      };
      // Without a look-up of its own the connection would ask the real DNS, which has no part in this.
      if (!lookup) return handOn([hostname]);
      lookup(hostname, hints, (error, found) => {
        if (error) callback(error, '');
        else handOn(Array.isArray(found) ? found.map(({ address }) => address) : [found]);
      });
    };
    options.lookup = diverted;
  }
}
