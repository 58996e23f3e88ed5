import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** The length, the version of the protocol, and the names and values of parameters. */
const HEADER_BYTES = 8;

/** A connection pooler that is told to ignore the startup parameter `options`, as PgBouncer is with `ignore_startup_parameters`. */
export class OptionsDroppingProxy {
  private constructor(
    private readonly server: Server,
    private readonly sockets: Set<Socket>,
    /** The database behind it. */
    readonly url: string,
  ) {}

  static async inFrontOf(databaseUrl: string): Promise<OptionsDroppingProxy> {
    const url = new URL(databaseUrl);
    const target = { host: url.hostname, port: Number(url.port) };
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      const postgres = connect(target);
      for (const [from, to] of [
        [client, postgres],
        [postgres, client],
      ] as const) {
        sockets.add(from);
        from.on('error', () => undefined).on('close', () => to.destroy());
      }
      postgres.pipe(client);
      // A client sends the packet in one write, and nothing else before the reply.
      client.once('data', (packet: Buffer) => {
        postgres.write(withoutOptions(packet));
        client.pipe(postgres);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url.port = String((server.address() as AddressInfo).port);
    return new OptionsDroppingProxy(server, sockets, url.href);
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

function withoutOptions(packet: Buffer): Buffer {
  const words = packet.subarray(HEADER_BYTES).toString().split('\0');
  const index = words.indexOf('options');
  if (index < 0) throw new Error('The startup packet has no parameter `options`.');
  words.splice(index, 2);
  const parameters = Buffer.from(words.join('\0'));
  const header = Buffer.from(packet.subarray(0, HEADER_BYTES));
  header.writeInt32BE(HEADER_BYTES + parameters.length);
  return Buffer.concat([header, parameters]);
}
