import { type Socket } from 'node:net';
import { MessageType, type Message, type PingMessage } from 'graphql-ws';
import { type Logger } from 'pino';
import { WebSocket } from 'ws';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest, TooManyConnections } from '../../core/errors.js';
import { type StreamEndReason, type EventSink } from '../../core/events/event-sink.js';
import { reportError } from '../../core/public-error.js';
import { acceptedBytesOf } from '../../core/events/accepted-bytes.js';
import { type Access } from '../../services/access/access.js';
import { type OpenConnections } from '../../services/limits/open-connections.js';
import { toFormattedError } from '../server/format-error.js';
import { type OperationRequest } from '../server/operation-cache.js';
import { type OperationRunner, type StartResult } from '../server/operation-runner.js';
import { closeFrameOf, credentialIn, operationIdIn, pongFor, readClientMessage } from './client-message.js';
import { CLOSE_FRAMES, CLOSE_FRAMES_BY_REASON, CLOSE_FRAMES_BY_STATUS } from './close-frames.js';
import { SocketBacklog } from './socket-backlog.js';

/** A web page needs a handful. Each one uses memory while it is open. */
const MAX_OPERATIONS_PER_CONNECTION = 100;
const TOO_MANY_OPERATIONS = `This connection has reached its limit of ${MAX_OPERATIONS_PER_CONNECTION} open operations. Complete some, or subscribe to the whole workspace with taskEvents.`;
/** What the messages of all its open operations may have together. Subscriptions keep their variables. */
const MAX_OPERATION_BYTES = 128 * 1024;
const OPERATIONS_TOO_LARGE = `The open operations of this connection are larger than ${MAX_OPERATION_BYTES} bytes together. Complete some, or send less in their variables.`;
/** Long enough for thousands of clients that reconnect at once and wait for each other. */
const INIT_TIMEOUT_MS = 10_000;

interface RunningOperation {
  /** Length of the message that started it. */
  messageBytes: number;
  /** Ends a subscription. While the operation starts, and for queries and mutations: tells it that the client has left. */
  unsubscribe: () => void;
}

interface WebSocketConnection {
  socket: WebSocket;
  /** The TCP stream under the WebSocket. */
  duplex: Socket;
  clientAddress: string | null;
}

export interface WebSocketServices {
  operationRunner: OperationRunner;
  access: Access;
  connections: OpenConnections;
  /** Called with the stream under a WebSocket when its key was accepted. */
  onAcknowledged: (duplex: Socket) => void;
  log: Logger;
}

/**
 * One WebSocket, from its opening to its close.
 *
 *   opened -> connection_init with a valid API key -> ready -> closed
 *
 * graphql-ws validates the messages. Its server is not used, because it serializes each result once per socket.
 */
export class WebSocketSession {
  private caller: Caller | null = null;
  private isInitialized = false;
  private readonly operations = new Map<string, RunningOperation>();
  private readonly initTimer: NodeJS.Timeout;
  private releaseSlot: (() => void) | null = null;
  private readonly backlog: SocketBacklog;

  constructor(
    readonly connection: WebSocketConnection,
    private readonly services: WebSocketServices,
  ) {
    const { socket, duplex } = connection;
    this.backlog = new SocketBacklog(socket, duplex);
    this.initTimer = setTimeout(() => this.close(CLOSE_FRAMES.initTimeout), INIT_TIMEOUT_MS);
    socket.on('message', (data, isBinary) =>
      // ws emits a Buffer, because `binaryType` has its default.
      isBinary ? this.close(CLOSE_FRAMES.badRequest) : this.receive(data as Buffer),
    );
    socket.on('close', () => this.dispose());
  }

  private get isOpen(): boolean {
    return this.connection.socket.readyState === WebSocket.OPEN;
  }

  close({ code, reason }: { code: number; reason: string }): void {
    this.connection.socket.close(code, reason);
    this.dispose();
  }

  /** Ends an operation that has no more results. */
  complete(id: string): void {
    this.operations.delete(id);
    this.send({ id, type: MessageType.Complete });
  }

  private send(message: object): void {
    this.backlog.send(JSON.stringify(message));
  }

  private dispose(): void {
    clearTimeout(this.initTimer);
    for (const { unsubscribe } of this.operations.values()) unsubscribe();
    this.operations.clear();
    this.backlog.close();
    this.releaseSlot?.();
  }

  private receive(bytes: Buffer): void {
    if (!this.isOpen) return;
    let message: Message;
    try {
      message = readClientMessage(bytes);
    } catch (error) {
      this.refuse(bytes, error);
      return;
    }
    switch (message.type) {
      case MessageType.ConnectionInit:
        void this.initialize(message.payload);
        break;
      case MessageType.Ping:
        this.answerPing(message);
        break;
      case MessageType.Pong:
        break;
      case MessageType.Subscribe:
        void this.subscribe(message.id, message.payload, bytes.length);
        break;
      case MessageType.Complete:
        this.operations.get(message.id)?.unsubscribe();
        this.operations.delete(message.id);
        break;
      default:
        this.close(CLOSE_FRAMES.badRequest);
    }
  }

  private answerPing(ping: PingMessage): void {
    const pong = pongFor(ping);
    if (pong === null) this.close(CLOSE_FRAMES.badRequest);
    else this.backlog.send(pong);
  }

  private async initialize(params: Record<string, unknown> | undefined): Promise<void> {
    if (this.isInitialized) return this.close(CLOSE_FRAMES.tooManyInitRequests);
    this.isInitialized = true;
    const { access, connections, onAcknowledged, log } = this.services;
    try {
      const caller = await access.authenticate(credentialIn(params), this.connection.clientAddress);
      if (!this.isOpen) return;
      const { release, acquired } = connections.acquire(caller, () => this.close(CLOSE_FRAMES.forbidden));
      this.releaseSlot = release;
      await acquired;
      if (!this.isOpen) return;
      this.caller = caller;
      this.backlog.trust();
      onAcknowledged(this.connection.duplex);
      clearTimeout(this.initTimer);
      this.send({ type: MessageType.ConnectionAck });
    } catch (error) {
      const { status } = reportError(error, log);
      this.close(CLOSE_FRAMES_BY_STATUS[status] ?? CLOSE_FRAMES.tryAgainLater);
    }
  }

  private async subscribe(id: string, request: OperationRequest, messageBytes: number): Promise<void> {
    if (!this.caller) return this.close(CLOSE_FRAMES.unauthorized);
    if (this.operations.has(id)) return this.close(CLOSE_FRAMES.subscriberAlreadyExists);
    if (this.operations.size >= MAX_OPERATIONS_PER_CONNECTION)
      return this.reject(id, new TooManyConnections(TOO_MANY_OPERATIONS));
    let openBytes = messageBytes;
    for (const open of this.operations.values()) openBytes += open.messageBytes;
    if (openBytes > MAX_OPERATION_BYTES) return this.reject(id, new TooManyConnections(OPERATIONS_TOO_LARGE));
    const leaving = new AbortController();
    const operation: RunningOperation = { messageBytes, unsubscribe: () => leaving.abort() };
    this.operations.set(id, operation);
    // The client may complete the operation in the meantime, and even start another one with its ID.
    const isCurrent = () => this.operations.get(id) === operation;
    const makeLeftSignal = () => leaving.signal;
    const options = { caller: this.caller, sink: new WebSocketSink(this, id), makeLeftSignal };
    await this.backlog.run(async () => {
      if (!isCurrent()) return;
      const result = await this.services.operationRunner
        .start(request, options)
        .catch((error: unknown) => ({ error }));
      if (isCurrent()) this.sendResult(id, operation, result);
      else if ('unsubscribe' in result) result.unsubscribe();
    });
  }

  private sendResult(
    id: string,
    operation: RunningOperation,
    result: StartResult | { error: unknown },
  ): void {
    if ('unsubscribe' in result) {
      operation.unsubscribe = result.unsubscribe;
      return;
    }
    this.operations.delete(id);
    if ('error' in result) return this.reject(id, result.error);
    if ('errors' in result) return this.send({ id, type: MessageType.Error, payload: result.errors });
    this.backlog.send(`${nextMessagePrefix(id)}${result.result}}`);
    this.complete(id);
  }

  /** Refuses only the operation if the message would have started one, because clients do not reconnect after this close code. */
  private refuse(bytes: Buffer, error: unknown): void {
    const id = this.caller && error instanceof BadRequest ? operationIdIn(bytes) : null;
    if (id !== null && !this.operations.has(id)) this.reject(id, error);
    else this.close(closeFrameOf(error, bytes));
  }

  /** Ends an operation that could not start. A client reconnects and resumes after 1013, but an `error` is final. */
  private reject(id: string, error: unknown): void {
    const publicError = reportError(error, this.services.log);
    if (publicError.status === 503) return this.close(CLOSE_FRAMES.tryAgainLater);
    this.send({ id, type: MessageType.Error, payload: [toFormattedError(publicError)] });
  }
}

/** A message with a result of an operation, up to the result. */
function nextMessagePrefix(id: string): string {
  return `{"id":${JSON.stringify(id)},"type":"${MessageType.Next}","payload":`;
}

/** Sends the results of one subscription. Everything but the payload is serialized when it starts. */
class WebSocketSink implements EventSink {
  private readonly prefix: string;

  constructor(
    private readonly session: WebSocketSession,
    private readonly id: string,
  ) {
    this.prefix = nextMessagePrefix(id);
  }

  get bufferedBytes(): number {
    return this.session.connection.socket.bufferedAmount;
  }

  get acceptedBytes(): number {
    return acceptedBytesOf(this.session.connection.duplex);
  }

  send(text: string): void {
    this.session.connection.socket.send(`${this.prefix}${text}}`);
  }

  batch(work: () => void): void {
    const { duplex } = this.session.connection;
    duplex.cork();
    try {
      work();
    } finally {
      duplex.uncork();
    }
  }

  complete(): void {
    this.session.complete(this.id);
  }

  close(closeReason: StreamEndReason, cursor: string): void {
    const frame = CLOSE_FRAMES_BY_REASON[closeReason];
    if (closeReason !== 'too-slow') return this.session.close(frame);
    this.session.close({ ...frame, reason: `${frame.reason}; resume after ${cursor}` });
  }
}
