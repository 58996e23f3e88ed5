/**
 * The longest silence on a connection that waits for events. Shorter than the idle timeouts of proxies, which are 60 s and
 * sometimes 15 s.
 */
export const KEEP_ALIVE_MS = 12_000;

/**
 * Why a stream is closed before its end. `going-away` stands for unexpected errors as well, because clients resume after it.
 * docs/PROTOCOL.md shows each reason on the wire.
 */
export type StreamEndReason = 'going-away' | 'too-slow' | 'api-key-revoked';

/**
 * Where one subscriber's events go: a subscription on a WebSocket, or an open HTTP response. After a method has thrown, it is
 * closed.
 */
export interface EventSink {
  /** Bytes handed to the connection that the network has not accepted yet. */
  readonly bufferedBytes: number;
  /** Bytes of the connection that the network has accepted since it was opened. */
  readonly acceptedBytes: number;
  /** Sends one rendered event. */
  send(text: string): void;
  /** Runs `work`, and sends everything that it sends in as few writes as possible. */
  batch(work: () => void): void;
  /** Ends the subscription normally, because no more events will follow. */
  complete(): void;
  /** Closes the connection. The subscriber can resume after `cursor`. */
  close(reason: StreamEndReason, cursor: string): void;
}
