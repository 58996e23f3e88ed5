import { LRUCache } from 'lru-cache';
import { TIMED_OUT, withTimeout } from '../../core/primitives/async.js';
import { statement } from './statement.js';

/** Bounds how long one connection is busy, and how much is run again after a failure. */
const MAX_GROUP_SIZE = 16;
/** The next group of a key starts when the one before has ended, and after this time, what waits is run alone. */
const MAX_WAIT_MS = 100;
/** After a group that was slow or failed, the runs of a key are made alone for this long. The next group would often be as well. */
const ALONE_MS = 1_000;
/** Keys that are remembered. Runs of a key that is forgotten are made all the same, in two groups at a time. */
const MAX_KEYS = 1_000;
/**
 * How long a write of a group waits for a lock, because the others wait with it. A group gives up long before PostgreSQL looks for
 * deadlocks, which is after a second.
 */
const LOCK_TIMEOUT_MS = 20;
/**
 * How long the transaction of a group of writes may take. The messages of a group can arrive in parts, and an instance that stops
 * between them would keep locks for hours. PostgreSQL has this limit since version 17.
 */
const TRANSACTION_TIMEOUT_MS = 5_000;

/** Runs first in the transaction of a group of writes. Returns no row. */
export const ENTER_GROUP = statement<object>(
  'enter-group',
  `
  SELECT WHERE set_config('lock_timeout', '${LOCK_TIMEOUT_MS}ms', true) IS NULL
            OR current_setting('server_version_num')::integer >= 170000
               AND set_config('transaction_timeout', '${TRANSACTION_TIMEOUT_MS}ms', true) IS NULL`,
);

/** How the statement of a group is run. */
export interface GroupedStatement<Row> {
  /** Runs it with each list of values in one transaction, and returns the rows of each run. */
  runTogether: (valueLists: readonly unknown[][]) => Promise<Row[][]>;
  runAlone: (values: unknown[]) => Promise<Row[]>;
  /** Whether the runs of a group that failed with this error can be made again: nothing was written, for certain. */
  mayRunAgain: (error: unknown) => boolean;
}

interface WaitingRun {
  values: unknown[];
  order: string;
  resolve: (rows: object[]) => void;
  reject: (error: unknown) => void;
}

/**
 * Runs statements for many callers. Runs of one statement that are requested together, or while others are in progress, share a
 * transaction: one commit and one round trip instead of many. If one of them fails or waits for a lock, nothing of its group is
 * written, and each is made again alone. So none affects the others.
 */
export class StatementGroups {
  private readonly byKey = new LRUCache<string, GroupsOfKey>({ max: MAX_KEYS });

  /**
   * Returns the rows of one run. Runs with the same key are of the same statement, and differ in their values only. Those of a
   * group are made in the order of their `order`, so that groups take most locks in the same order.
   */
  async run<Row extends object>(
    key: string,
    grouped: GroupedStatement<Row>,
    { values, order }: { values: unknown[]; order: string },
  ): Promise<Row[]> {
    const groups = this.byKey.get(key) ?? new GroupsOfKey(grouped);
    this.byKey.set(key, groups);
    return (await groups.run(values, order)) as Row[];
  }
}

class GroupsOfKey {
  private waiting: WaitingRun[] = [];
  private areStarting = false;
  private aloneUntil = 0;

  constructor(private readonly statement: GroupedStatement<object>) {}

  run(values: unknown[], order: string): Promise<object[]> {
    if (this.isAlone) return this.statement.runAlone(values);
    return new Promise((resolve, reject) => {
      this.waiting.push({ values, order, resolve, reject });
      if (this.areStarting) return;
      this.areStarting = true;
      // Requests that have arrived together are handled before.
      setImmediate(() => void this.startGroups());
    });
  }

  private get isAlone(): boolean {
    return performance.now() < this.aloneUntil;
  }

  private async startGroups(): Promise<void> {
    while (this.waiting.length > 0) {
      if (this.isAlone) void this.runAlone(this.waiting.splice(0));
      else {
        const group = this.waiting.splice(0, MAX_GROUP_SIZE);
        const settled = group.length > 1 ? this.runTogether(group) : this.runAlone(group);
        if ((await withTimeout(settled, MAX_WAIT_MS)) === TIMED_OUT) this.pauseGrouping();
      }
    }
    this.areStarting = false;
  }

  /** Never rejects. */
  private async runTogether(group: WaitingRun[]): Promise<void> {
    const inOrder = group.toSorted((one, other) => (one.order < other.order ? -1 : 1));
    try {
      const rows = await this.statement.runTogether(inOrder.map(({ values }) => values));
      inOrder.forEach(({ resolve }, index) => resolve(rows[index] ?? []));
    } catch (error) {
      this.pauseGrouping();
      if (this.statement.mayRunAgain(error)) await this.runAlone(inOrder);
      else for (const { reject } of inOrder) reject(error);
    }
  }

  private pauseGrouping(): void {
    this.aloneUntil = performance.now() + ALONE_MS;
  }

  /** Never rejects. */
  private async runAlone(runs: WaitingRun[]): Promise<void> {
    await Promise.all(
      runs.map(({ values, resolve, reject }) => this.statement.runAlone(values).then(resolve, reject)),
    );
  }
}
