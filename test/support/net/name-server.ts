import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';

const HEADER_BYTES = 12;
const TYPE_A = 1;
const TYPE_NS = 2;

/**
 * A DNS server on this machine. It knows the names of `records` and the name servers of `zones`, and never answers queries for other
 * names below `silent.test`.
 */
export class NameServer {
  /** The names of all queries. Each lookup has two, one for each family. */
  readonly queries: string[] = [];

  private constructor(
    private readonly socket: Socket,
    private readonly records: Record<string, string[]>,
    private readonly zones: readonly string[],
  ) {}

  static async open(records: Record<string, string[]> = {}, zones = ['test']): Promise<NameServer> {
    const socket = createSocket('udp4');
    const server = new NameServer(socket, records, zones);
    socket.on('message', (query, { port, address }) => {
      const response = server.responseTo(query);
      if (response) socket.send(response, port, address);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return server;
  }

  /** As `Resolver.setServers` takes it. */
  get address(): string {
    return `127.0.0.1:${this.socket.address().port}`;
  }

  close(): void {
    this.socket.close();
  }

  private responseTo(query: Buffer): Buffer | null {
    const labels: string[] = [];
    let at = HEADER_BYTES;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join('.').toLowerCase();
    this.queries.push(name);
    const type = query.readUInt16BE(at + 1);
    const isZone = type === TYPE_NS && this.zones.includes(name);
    const addresses = this.records[name];
    if (!addresses && name.endsWith('silent.test')) return null;
    const answers = isZone
      ? [recordOf(type, POINTER_TO_NAME)]
      : (addresses ?? [])
          .filter((address) => type !== TYPE_NS && isIPv4(address) === (type === TYPE_A))
          .map((address) => recordOf(type, dataOf(address)));
    const header = Buffer.from(query.subarray(0, HEADER_BYTES));
    // A recursive answer, with the status "no error" or "no such name".
    header.writeUInt16BE(addresses || isZone ? 0x8180 : 0x8183, 2);
    header.writeUInt16BE(answers.length, 6);
    header.writeUInt32BE(0, 8);
    const question = query.subarray(HEADER_BYTES, at + 5);
    return Buffer.concat([header, question, ...answers]);
  }
}

/** The queried name, as a record refers to it. */
const POINTER_TO_NAME = Buffer.from([0xc0, HEADER_BYTES]);

/** A record of the queried name. */
function recordOf(type: number, data: Buffer): Buffer {
  return Buffer.concat([POINTER_TO_NAME, Buffer.from([0, type, 0, 1, 0, 0, 0, 60, 0, data.length]), data]);
}

function dataOf(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const groups = address.split(':').map((group) => group.padStart(4, '0'));
  return Buffer.from(groups.join(''), 'hex');
}
