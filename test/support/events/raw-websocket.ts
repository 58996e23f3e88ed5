import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';
import { waitFor } from '../wait-for.js';
import { subscriptionOperation, type SubscriptionTarget } from './streams.js';

export interface WebSocketMessage {
  type: string;
  id?: string;
  payload?: unknown;
}

/** A GraphQL WebSocket on which a test sends any message at any time. */
export class RawWebSocket {
  readonly messages: WebSocketMessage[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;

  constructor(readonly socket: WebSocket) {
    socket.on('message', (text: Buffer) =>
      this.messages.push(JSON.parse(text.toString()) as WebSocketMessage),
    );
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) =>
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    );
  }

  /** Opens the socket and sends nothing. */
  static async open(url: string, options: ClientOptions = {}): Promise<RawWebSocket> {
    const address = `${url.replace(/^http/, 'ws')}/graphql`;
    const raw = new RawWebSocket(new WebSocket(address, 'graphql-transport-ws', options));
    await once(raw.socket, 'open');
    return raw;
  }

  /** Opens the socket and waits until the service has accepted the key. */
  static async openAcknowledged(
    url: string,
    key: string,
    options: ClientOptions = {},
  ): Promise<RawWebSocket> {
    const raw = await RawWebSocket.open(url, options);
    raw.sendConnectionInit(key);
    await raw.waitForMessage('connection_ack');
    return raw;
  }

  sendConnectionInit(key: string): void {
    this.send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } });
  }

  subscribe(id: string, target: SubscriptionTarget = {}): void {
    this.send({ type: 'subscribe', id, payload: subscriptionOperation(target) });
  }

  send(message: object | string | Buffer): void {
    const isRaw = typeof message === 'string' || Buffer.isBuffer(message);
    this.socket.send(isRaw ? message : JSON.stringify(message));
  }

  /** Waits for the first message of this type for this operation ID. */
  waitForMessage(type: string, id?: string): Promise<WebSocketMessage> {
    const matches = (message: WebSocketMessage) => message.type === type && message.id === id;
    return waitFor(`${type} ${id ?? ''}`, () => this.messages.find(matches));
  }

  cut(): void {
    this.socket.terminate();
  }
}
