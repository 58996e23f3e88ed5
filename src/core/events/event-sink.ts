/** Why a stream ends before its time, for the client to act on; docs/PROTOCOL.md has what each one looks like on the wire. */
export type Ending = 'going-away' | 'too-slow' | 'key-revoked';

/** Where one watcher's events go: a subscription on a socket, or a response that stays open. Never throws. */
export interface Outlet {
  /** Bytes of the connection that were handed over and that the network has not taken yet. */
  readonly backlogBytes: number;
  /** Hands over one event, rendered. */
  send(text: string): void;
  /** What `work` sends goes out in as few writes as can be. */
  together(work: () => void): void;
  /** Nothing more will come of what was asked for. */
  complete(): void;
  /** Ends the connection; `cursor` is the place from which the watcher can go on. */
  close(ending: Ending, cursor: string): void;
}
