import { type Logger } from 'pino';
import { type TaskEvent } from '../core/events/task-event.js';
import { type Scope } from '../db/events/event-repository.js';

/** What a group of watchers has in common: which events, and how each of them is shown. */
export interface TopicOptions {
  /** Equal for watchers that are to be shown the same; they share every rendering. */
  key: string;
  scope: Scope;
  /** Which events of the scope are shown. */
  matches(event: TaskEvent): boolean;
  /** An event as it goes out. Called once for each event; again later when it throws. */
  render(event: TaskEvent): Promise<string>;
}

/** What a topic knows of who watches it; watcher.ts is all there is to it. */
interface LiveWatcher {
  take(events: readonly TaskEvent[], texts: readonly string[]): void;
  readAgain(): void;
}

/** Renderings kept for watchers that come back: a storm asks for the same few hundred. */
const TEXTS_KEPT = 512;
/** Rendered at the same time, so that their reads of Postgres go together. */
const RENDERED_AT_ONCE = 64;
/** With more than this to render, the watchers read for themselves, and memory stays bounded. */
const MAX_PENDING = 4_096;
/** Between such slices of watchers other sockets have their turn: a slice takes about 10 ms. */
const WATCHERS_AT_ONCE = 500;
const RENDER_RETRY_MS = 250;

/** One execution and one serialisation for each event, sent to all who watch the same. */
export class Topic {
  readonly key: string;
  readonly scope: Scope;
  /** Everybody who has joined and not left. */
  readonly watchers = new Set<LiveWatcher>();
  /** Those who have seen everything so far; the others read for themselves. */
  private readonly live = new Set<LiveWatcher>();
  private readonly texts = new Map<bigint, Promise<string>>();
  private pending: TaskEvent[] = [];
  private pushing: Promise<void> | null = null;

  constructor(
    private readonly options: TopicOptions,
    private readonly log: Logger,
  ) {
    this.key = options.key;
    this.scope = options.scope;
  }

  matches(event: TaskEvent): boolean {
    return this.options.matches(event);
  }

  /** The event as it goes out. Rejects when nobody watches any more. */
  text(event: TaskEvent): Promise<string> {
    const known = this.texts.get(event.position);
    if (known) return known;
    const text = this.render(event);
    text.catch(() => this.texts.delete(event.position));
    this.texts.set(event.position, text);
    const [oldest] = this.texts.keys();
    if (this.texts.size > TEXTS_KEPT && oldest !== undefined) this.texts.delete(oldest);
    return text;
  }

  /** Events that were just sealed, for those who are live. */
  push(events: readonly TaskEvent[]): void {
    if (this.live.size === 0) return;
    this.pending.push(...events);
    if (this.pending.length > MAX_PENDING) {
      this.pending = [];
      for (const watcher of [...this.live]) watcher.readAgain();
    }
    this.pushing ??= this.pushAll().finally(() => {
      this.pushing = null;
    });
  }

  /** The watcher has seen everything that was handed out so far, and is sent what comes from now on. */
  goLive(watcher: LiveWatcher): void {
    this.live.add(watcher);
  }

  leaveLive(watcher: LiveWatcher): void {
    this.live.delete(watcher);
  }

  /** Resolves when everything that was pushed has been handed to the sockets. */
  async idle(): Promise<void> {
    await this.pushing;
  }

  private async pushAll(): Promise<void> {
    while (this.pending.length > 0 && this.live.size > 0) {
      const batch = this.pending.splice(0, RENDERED_AT_ONCE);
      const texts = await Promise.all(batch.map((event) => this.text(event))).catch(() => null);
      if (!texts) break;
      const watchers = [...this.live];
      for (let start = 0; start < watchers.length; start += WATCHERS_AT_ONCE) {
        if (start > 0) await new Promise((resolve) => setImmediate(resolve));
        for (const watcher of watchers.slice(start, start + WATCHERS_AT_ONCE)) watcher.take(batch, texts);
      }
    }
    this.pending = [];
  }

  /** An event that cannot be shown now is shown later, not left out: the database comes back. */
  private async render(event: TaskEvent): Promise<string> {
    for (;;) {
      try {
        return await this.options.render(event);
      } catch (error) {
        if (this.watchers.size === 0) throw error;
        this.log.warn(
          { err: error, position: String(event.position) },
          'an event cannot be shown yet; it is tried again',
        );
        await new Promise((resolve) => setTimeout(resolve, RENDER_RETRY_MS));
      }
    }
  }
}
