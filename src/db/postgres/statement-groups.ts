import { DatabaseUnavailable } from '../../core/errors.js';
import { statement } from './statement.js';

/** Groups of one key at a time. Two, so that a group that waits for a lock or a commit does not keep all others waiting. */
const MAX_GROUPS = 2;
/** Bounds how long one connection is busy, and how much is run again after a failure. */
const MAX_GROUP_SIZE = 32;
/** How long a run waits for its group to start. As long as any other statement waits for a connection. */
const MAX_WAIT_MS = 5_000;
/**
 * How long a write of a group waits for a lock, because the others wait with it. Below `deadlock_timeout`, which is a second, so
 * that a group gives up before PostgreSQL ends another transaction for its sake.
 */
const LOCK_TIMEOUT_MS = 100;

/** Runs first in the transaction of a group of writes. Returns no row. */
export const ENTER_GROUP = statement<object>(
  'enter-group',
  `SELECT WHERE set_config('lock_timeout', '${LOCK_TIMEOUT_MS}ms', true) IS NULL`,
);

/** How the statement of a group is run. */
export interface GroupedStatement<Row> {
  /** Runs it with each list of values in one transaction, and returns the rows of each run. */
  runTogether: (valueLists: readonly unknown[][]) => Promise<Row[][]>;
  runAlone: (values: unknown[]) => Promise<Row[]>;
  /** Whether `runTogether` failed and has certainly written nothing. */
  isRolledBack: (error: unknown) => boolean;
}

interface WaitingRun {
  values: unknown[];
  order: string;
  resolve: (rows: object[]) => void;
  reject: (error: unknown) => void;
  timer: NodeJS.Timeout;
}

/**
 * Runs statements for many callers. Runs of one statement that are requested together, or while others are in progress, share a
 * transaction: one commit and one round trip instead of many. If one of them fails or waits for a lock, nothing of its group is
 * written, and each is run alone. So none affects the others.
 */
export class StatementGroups {
  /** Those that run or wait, by key. */
  private readonly groups = new Map<string, Groups>();

  /**
   * Returns the rows of one run. Runs with the same key are of the same statement, and differ in their values only. The runs of a
   * group are made in the order of their `order`: two groups take the same locks in the same order. Throws DatabaseUnavailable
   * when the group does not start in time.
   */
  async run<Row extends object>(
    key: string,
    grouped: GroupedStatement<Row>,
    { values, order }: { values: unknown[]; order: string },
  ): Promise<Row[]> {
    const groups = this.groups.get(key) ?? new Groups(grouped, () => this.groups.delete(key));
    this.groups.set(key, groups);
    return (await groups.run(values, order)) as Row[];
  }

  /** How many keys have runs. Only tests read it. */
  get size(): number {
    return this.groups.size;
  }
}

class Groups {
  private waiting: WaitingRun[] = [];
  private running = 0;

  constructor(
    private readonly statement: GroupedStatement<object>,
    private readonly onIdle: () => void,
  ) {}

  run(values: unknown[], order: string): Promise<object[]> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.waiting = this.waiting.filter((other) => other !== waiting);
        reject(new DatabaseUnavailable());
      };
      const waiting = { values, order, resolve, reject, timer: setTimeout(giveUp, MAX_WAIT_MS) };
      this.waiting.push(waiting);
      // Requests that have arrived together are handled before.
      if (this.waiting.length === 1) setImmediate(() => this.start());
    });
  }

  private start(): void {
    while (this.running < MAX_GROUPS && this.waiting.length > 0) {
      const group = this.waiting.splice(0, MAX_GROUP_SIZE);
      for (const { timer } of group) clearTimeout(timer);
      this.running += 1;
      void this.settle(group).finally(() => {
        this.running -= 1;
        this.start();
      });
    }
    if (this.running === 0 && this.waiting.length === 0) this.onIdle();
  }

  /** Never rejects. */
  private async settle(group: WaitingRun[]): Promise<void> {
    if (group.length > 1 && (await this.settleTogether(group))) return;
    await Promise.all(
      group.map(({ values, resolve, reject }) => this.statement.runAlone(values).then(resolve, reject)),
    );
  }

  /** Returns false when nothing was written, and no run is settled. */
  private async settleTogether(group: WaitingRun[]): Promise<boolean> {
    const inOrder = group.toSorted((one, other) => (one.order < other.order ? -1 : 1));
    try {
      const rows = await this.statement.runTogether(inOrder.map(({ values }) => values));
      inOrder.forEach(({ resolve }, index) => resolve(rows[index] ?? []));
    } catch (error) {
      if (this.statement.isRolledBack(error)) return false;
      for (const { reject } of inOrder) reject(error);
    }
    return true;
  }
}
