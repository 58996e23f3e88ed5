import { Random } from './random.js';

/** One task as the client asks for it, with what is to go wrong with it at the upstream. */
export interface TaskPlan {
  /** From 0. */
  number: number;
  /** Unique, so that the upstream's ledger can be read by task. */
  prompt: string;
  count: number;
  /** Null: nothing goes wrong. */
  fault: string | null;
}

/** How many of a thousand tasks meet each fault; the others meet none. docs/SANDBOX.md says what each one does. */
const PER_THOUSAND: readonly (readonly [share: number, fault: string])[] = [
  [40, 'reply=dropped'],
  [40, 'reply=html'],
  [70, 'callback=lost'],
  [60, 'callback=twice'],
  [50, 'callback=early'],
  [50, 'callback=late'],
  [60, 'delay'],
  [30, 'fail=api_error'],
  [30, 'images'],
  [20, 'picture=slow'],
];
/**
 * Every so many-th task of the first half loses both the reply and the callback. Nobody can know of its picture then: it
 * ends EXPIRED at its deadline, which is the contract. Few, and early, for each of them makes the end wait.
 */
const SILENT_EVERY = 120;
const SILENT_FAULTS = 'reply=dropped callback=lost';
/** Long enough to overtake each other, short enough to be done well before a deadline. */
const DELAY_MS = { low: 100, high: 6_000 };

/** Plans the tasks of a run one after the other. Equal seeds give equal plans. */
export class TaskPlanner {
  private readonly random: Random;
  private planned = 0;

  constructor(
    private readonly seed: number,
    /** How many there will be. */
    private readonly total: number,
  ) {
    this.random = new Random(seed, 'tasks');
  }

  /** `inBurst`: the upstream refuses it once, with 429, which is a fault of its own and not of this task. */
  next(inBurst: boolean): TaskPlan {
    const number = this.planned++;
    const isSilent = number < this.total / 2 && number % SILENT_EVERY === SILENT_EVERY / 2;
    const count = this.random.pick([1, 1, 1, 2, 4]);
    const fault = isSilent ? SILENT_FAULTS : this.drawFault(count);
    const directives = [fault, inBurst && 'error=too_many_requests times=1'].filter(Boolean).join(' ');
    const prompt = `chaos ${this.seed} ${number}${directives && ` [sandbox: ${directives}]`}`;
    return { number, prompt, count, fault };
  }

  private drawFault(count: number): string | null {
    let place = this.random.between(0, 999);
    for (const [share, fault] of PER_THOUSAND) {
      place -= share;
      if (place >= 0) continue;
      if (fault === 'delay') return `delay=${this.random.between(DELAY_MS.low, DELAY_MS.high)}ms`;
      return fault === 'images' ? `images=${this.random.between(0, count - 1)}` : fault;
    }
    return null;
  }
}
