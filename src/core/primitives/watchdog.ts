import { type Logger } from 'pino';

interface WatchdogOptions {
  /** The part that is watched, in log messages. */
  part: string;
  /** For how long the part has made no progress, in milliseconds. Zero while it has nothing to do. */
  stalledMs: () => number;
  /** For how long the part has existed, if something else can replace it as well. A new part gets as much time as any other. */
  ageMs?: () => number;
  /** The part is replaced after this long without progress. */
  stalledAfterMs: number;
  /** Does with PostgreSQL what the part needs. Rejects while that is not possible, because a new part would not help then. */
  probe: () => Promise<unknown>;
  /** Leaves what hangs behind, and starts the part again. */
  replace: () => void;
  /** Called when replacing the part does not help. A new process is the last thing that can. Absent: the process can do without. */
  onFatal?: ((reason: string) => void) | undefined;
  log: Logger;
}

const CHECK_INTERVAL_MS = 1_000;
/** Replacements without any progress before the instance is declared unable to work. */
const MAX_FRUITLESS_REPLACEMENTS = 5;

/**
 * Replaces a part that makes no progress although PostgreSQL responds, whatever the reason is. A part that waits for an answer
 * that never comes reports no error, so only its progress shows it.
 *
 *   stopped -> start() -> watching -> stop() -> stopped
 */
export class Watchdog {
  private timer: NodeJS.Timeout | undefined;
  private isProbing = false;
  private replacedAt = -Infinity;
  private fruitlessReplacements = 0;

  constructor(private readonly options: WatchdogOptions) {}

  start(): void {
    this.timer = setInterval(() => void this.check(), CHECK_INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private async check(): Promise<void> {
    const { part, stalledAfterMs, probe, replace, onFatal, log } = this.options;
    if (!this.isStalled || this.isProbing) return;
    this.isProbing = true;
    try {
      await probe();
    } catch {
      return;
    } finally {
      this.isProbing = false;
    }
    if (this.timer === undefined || !this.isStalled) return;
    this.replacedAt = performance.now();
    this.fruitlessReplacements += 1;
    const replacements = this.fruitlessReplacements;
    log.warn({ part, stalledAfterMs, replacements }, 'a part makes no progress; replacing it');
    replace();
    if (replacements > MAX_FRUITLESS_REPLACEMENTS)
      onFatal?.(`the ${part} makes no progress although PostgreSQL responds`);
  }

  private get isStalled(): boolean {
    const { ageMs = () => Infinity, stalledAfterMs } = this.options;
    const stalledMs = this.options.stalledMs();
    const sinceReplacementMs = performance.now() - this.replacedAt;
    if (stalledMs < sinceReplacementMs) this.fruitlessReplacements = 0;
    return Math.min(stalledMs, sinceReplacementMs, ageMs()) >= stalledAfterMs;
  }
}
