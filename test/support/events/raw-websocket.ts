import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';
import { waitFor } from '../wait-for.js';
import { operationOf, type Target } from './streams.js';

export interface Message {
  type: string;
  id?: string;
  payload?: unknown;
}

/** A WebSocket on which a test says what it wants, in any order. */
export class RawSocket {
  readonly messages: Message[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;

  constructor(readonly socket: WebSocket) {
    socket.on('message', (text: Buffer) => this.messages.push(JSON.parse(text.toString()) as Message));
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) =>
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    );
  }

  /** Opened, and nothing said. */
  static async open(url: string, options: ClientOptions = {}): Promise<RawSocket> {
    const address = `${url.replace(/^http/, 'ws')}/graphql`;
    const raw = new RawSocket(new WebSocket(address, 'graphql-transport-ws', options));
    await once(raw.socket, 'open');
    return raw;
  }

  /** With its key accepted. */
  static async ready(url: string, key: string, options: ClientOptions = {}): Promise<RawSocket> {
    const raw = await RawSocket.open(url, options);
    raw.initialise(key);
    await raw.message('connection_ack');
    return raw;
  }

  initialise(key: string): void {
    this.send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } });
  }

  subscribe(id: string, target: Target = {}): void {
    this.send({ type: 'subscribe', id, payload: operationOf(target) });
  }

  send(message: object | string | Buffer): void {
    const isRaw = typeof message === 'string' || Buffer.isBuffer(message);
    this.socket.send(isRaw ? message : JSON.stringify(message));
  }

  /** The first message of a type, and for an operation. */
  message(type: string, id?: string): Promise<Message> {
    const isIt = (message: Message) => message.type === type && message.id === id;
    return waitFor(`${type} ${id ?? ''}`, () => this.messages.find(isIt));
  }

  cut(): void {
    this.socket.terminate();
  }
}
