import { type Duplex } from 'node:stream';
import { CloseCode, MessageType, parseMessage, type Message } from 'graphql-ws';
import { type Logger } from 'pino';
import { type RawData, type WebSocket } from 'ws';
import { type Caller } from '../../core/access/caller.js';
import { AppError, TooManyWatchers, Unauthenticated } from '../../core/errors.js';
import { type Ending, type Outlet } from '../../core/events/event-sink.js';
import { type Access } from '../../services/access/access.js';
import { type Connections } from '../../services/limits/connection-slots.js';
import { type OperationRequest } from './operations.js';
import { type Subscriptions } from '../events/subscriptions.js';

/** Why we close a socket. Codes below 4000 are of RFC 6455, 44xx of the protocol; docs/PROTOCOL.md has them all. */
export const CLOSE = {
  goingAway: { code: 1001, reason: 'Going away' },
  tryAgainLater: { code: 1013, reason: 'Try again later' },
  tooManyConnections: { code: 1013, reason: 'Too many connections' },
  badRequest: { code: CloseCode.BadRequest, reason: 'This is not a message of graphql-transport-ws' },
  unauthorized: { code: CloseCode.Unauthorized, reason: 'Unauthorized' },
  forbidden: { code: CloseCode.Forbidden, reason: 'Forbidden' },
  subprotocol: {
    code: CloseCode.SubprotocolNotAcceptable,
    reason: 'Use the subprotocol graphql-transport-ws',
  },
  initTimeout: {
    code: CloseCode.ConnectionInitialisationTimeout,
    reason: 'Connection initialisation timeout',
  },
  inUse: { code: CloseCode.SubscriberAlreadyExists, reason: 'This operation id is in use' },
  initTwice: { code: CloseCode.TooManyInitialisationRequests, reason: 'Too many initialisation requests' },
  /** Ours. The reason is followed by the cursor to go on from. */
  tooSlow: { code: 4480, reason: 'Too slow' },
} as const;

/** A page of a frontend has a handful; each costs memory for as long as it is open. */
const MAX_OPERATIONS = 100;
/** Thousands that come back at once wait for each other. */
const INIT_TIMEOUT_MS = 10_000;

interface RunningOperation {
  /** Null while it starts, and for what has one answer. */
  leave: (() => void) | null;
}

export interface ConnectionServices {
  subscriptions: Subscriptions;
  access: Access;
  connections: Connections;
  log: Logger;
}

/**
 * One socket, from its opening to its close.
 *
 *   opened -> connection_init with a good key -> ready -> closed
 *
 * The wire is parsed by graphql-ws; what is pushed is ours, because its server serialises each result for each socket.
 */
export class Connection {
  private caller: Caller | null = null;
  private initialised = false;
  private readonly operations = new Map<string, RunningOperation>();
  private readonly initTimer: NodeJS.Timeout;
  private leave: (() => void) | null = null;

  constructor(
    readonly socket: WebSocket,
    /** What the WebSocket was made of. */
    readonly stream: Duplex,
    /** The client's address. */
    private readonly source: string | null,
    private readonly services: ConnectionServices,
  ) {
    this.initTimer = setTimeout(() => this.close(CLOSE.initTimeout), INIT_TIMEOUT_MS);
    socket.on('message', (data, isBinary) => (isBinary ? this.close(CLOSE.badRequest) : this.receive(data)));
    socket.on('close', () => this.release());
  }

  close({ code, reason }: { code: number; reason: string }): void {
    this.socket.close(code, reason);
    this.release();
  }

  /** For the operation's outlet: it is over, and its client was or will be told. */
  forget(id: string): void {
    this.operations.delete(id);
  }

  send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  private release(): void {
    clearTimeout(this.initTimer);
    for (const { leave } of this.operations.values()) leave?.();
    this.operations.clear();
    this.leave?.();
    this.leave = null;
  }

  private receive(data: RawData): void {
    if (this.socket.readyState !== this.socket.OPEN) return;
    let message: Message;
    try {
      message = parseMessage(textOf(data));
    } catch {
      this.close(CLOSE.badRequest);
      return;
    }
    switch (message.type) {
      case MessageType.ConnectionInit:
        void this.initialise(message.payload);
        break;
      case MessageType.Ping:
        this.send({ type: MessageType.Pong, ...(message.payload && { payload: message.payload }) });
        break;
      case MessageType.Pong:
        break;
      case MessageType.Subscribe:
        void this.subscribe(message.id, message.payload);
        break;
      case MessageType.Complete:
        this.operations.get(message.id)?.leave?.();
        this.operations.delete(message.id);
        break;
      default:
        this.close(CLOSE.badRequest);
    }
  }

  private async initialise(params: Record<string, unknown> | undefined): Promise<void> {
    if (this.initialised) return this.close(CLOSE.initTwice);
    this.initialised = true;
    const { access, connections, log } = this.services;
    try {
      const given = params?.['authorization'] ?? params?.['Authorization'];
      const caller = await access.authenticate(given, this.source);
      if (this.socket.readyState !== this.socket.OPEN) return;
      const { leave, letIn } = connections.open(caller, () => this.close(CLOSE.forbidden));
      this.leave = leave;
      await letIn;
      if (this.socket.readyState !== this.socket.OPEN) return;
      this.caller = caller;
      clearTimeout(this.initTimer);
      this.send({ type: MessageType.ConnectionAck });
    } catch (error) {
      if (error instanceof Unauthenticated) return this.close(CLOSE.forbidden);
      if (error instanceof TooManyWatchers) return this.close(CLOSE.tooManyConnections);
      log.warn({ err: error }, 'a WebSocket connection could not be authenticated');
      this.close(CLOSE.tryAgainLater);
    }
  }

  private async subscribe(id: string, request: OperationRequest): Promise<void> {
    if (!this.caller) return this.close(CLOSE.unauthorized);
    if (this.operations.has(id)) return this.close(CLOSE.inUse);
    if (this.operations.size >= MAX_OPERATIONS) return this.refuse(id, tooManyOperations);
    const operation: RunningOperation = { leave: null };
    this.operations.set(id, operation);
    const outlet = new SocketOutlet(this, id);
    const started = await this.services.subscriptions
      .start(request, this.caller, outlet)
      .catch((error: unknown) => {
        this.services.log.error({ err: error }, 'an operation over WebSocket failed');
        this.close(CLOSE.tryAgainLater);
        return null;
      });
    if (!started || this.operations.get(id) !== operation) {
      if (started && 'leave' in started) started.leave();
    } else if ('leave' in started) {
      operation.leave = started.leave;
    } else if ('errors' in started) {
      this.operations.delete(id);
      this.send({ id, type: MessageType.Error, payload: started.errors });
    } else {
      this.operations.delete(id);
      this.send({ id, type: MessageType.Next, payload: started.result });
      this.send({ id, type: MessageType.Complete });
    }
  }

  private refuse(id: string, error: AppError): void {
    const { message, code } = error;
    this.send({ id, type: MessageType.Error, payload: [{ message, extensions: { code } }] });
  }
}

const tooManyOperations = new TooManyWatchers(
  `This connection has ${MAX_OPERATIONS} operations open, which is the limit. Complete some, or watch the workspace with taskEvents.`,
);

/** Where one subscription's results go: everything but the payload was serialised when it began. */
class SocketOutlet implements Outlet {
  private readonly prefix: string;

  constructor(
    private readonly connection: Connection,
    private readonly id: string,
  ) {
    this.prefix = `{"id":${JSON.stringify(id)},"type":"next","payload":`;
  }

  get backlogBytes(): number {
    return this.connection.socket.bufferedAmount;
  }

  send(text: string): void {
    this.connection.socket.send(`${this.prefix}${text}}`);
  }

  together(work: () => void): void {
    this.connection.stream.cork();
    work();
    this.connection.stream.uncork();
  }

  complete(): void {
    this.connection.forget(this.id);
    this.connection.send({ id: this.id, type: MessageType.Complete });
  }

  close(ending: Ending, cursor: string): void {
    const { code, reason } = CLOSE_BY_ENDING[ending];
    this.connection.close({
      code,
      reason: ending === 'too-slow' ? `${reason}; go on after ${cursor}` : reason,
    });
  }
}

const CLOSE_BY_ENDING = {
  'going-away': CLOSE.goingAway,
  'too-slow': CLOSE.tooSlow,
  'key-revoked': CLOSE.forbidden,
} as const satisfies Record<Ending, object>;

function textOf(data: RawData): string {
  return (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as ArrayBuffer)).toString();
}
