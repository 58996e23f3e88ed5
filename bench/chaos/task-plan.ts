import { SeededStream } from './random.js';

/** A task to request, with its fault at the upstream. */
export interface TaskPlan {
  /** From 0. */
  number: number;
  /** Unique, so that entries of the upstream's ledger can be matched to tasks. */
  prompt: string;
  count: number;
  /** Null for no fault. */
  fault: string | null;
}

/** How many of a thousand tasks have each fault. The others have none. See docs/SANDBOX.md for the faults. */
const FAULT_WEIGHTS: readonly (readonly [share: number, fault: string])[] = [
  [40, 'reply=dropped'],
  [40, 'reply=html'],
  [70, 'callback=lost'],
  [60, 'callback=twice'],
  [50, 'callback=early'],
  [50, 'callback=late'],
  [60, 'delay'],
  [30, 'fail=api_error'],
  [30, 'images'],
  [20, 'image=slow'],
];
/**
 * One in this many tasks of the first half loses both the reply and the callback. The service cannot know its image, so it must
 * expire at its deadline. These tasks are few and early, because the run waits for their deadlines.
 */
const SILENT_EVERY = 120;
const SILENT_TASK_FAULTS = 'reply=dropped callback=lost';
/** How many images a task has. Each as often as the others. */
const COUNTS = [1, 1, 1, 2, 4];
/** On average. */
export const IMAGES_PER_TASK = COUNTS.reduce((sum, count) => sum + count, 0) / COUNTS.length;
/** Long enough for tasks to overtake each other, and short enough to finish well before the deadline. */
const DELAY_MS = { low: 100, high: 6_000 };

/** Plans the tasks of a run one after the other. Equal seeds give equal plans. */
export class TaskPlanner {
  private readonly random: SeededStream;
  private planned = 0;

  constructor(
    private readonly seed: number,
    /** Total number of tasks in the run. */
    private readonly total: number,
  ) {
    this.random = new SeededStream(seed, 'tasks');
  }

  next(): TaskPlan {
    const number = this.planned++;
    const losesAllReplies = number < this.total / 2 && number % SILENT_EVERY === SILENT_EVERY / 2;
    const count = this.random.pick(COUNTS);
    const fault = losesAllReplies ? SILENT_TASK_FAULTS : this.pickFault(count);
    const prompt = `chaos ${this.seed} ${number}${fault === null ? '' : ` [sandbox: ${fault}]`}`;
    return { number, prompt, count, fault };
  }

  private pickFault(count: number): string | null {
    let remaining = this.random.between(0, 999);
    for (const [share, fault] of FAULT_WEIGHTS) {
      remaining -= share;
      if (remaining >= 0) continue;
      if (fault === 'delay') return `delay=${this.random.between(DELAY_MS.low, DELAY_MS.high)}ms`;
      return fault === 'images' ? `images=${this.random.between(0, count - 1)}` : fault;
    }
    return null;
  }
}
