import { StoreUnavailable } from '../../core/errors.js';
import { FairSlots } from '../../core/limits/fair-slots.js';
import { TIMED_OUT, withTimeout } from '../../core/primitives/async.js';

const MAX_CONCURRENT_DECODES = 2;
/**
 * Slots that uploads and variants do not take. One of them can take a minute, and paid images would wait for it however often they
 * come first.
 */
const SLOTS_FOR_PAID = 1;
/** Longer than all attempts for one image. A decoder that takes longer waits for the disk. */
const DECODER_TIMEOUT_MS = 240_000;

/** For whom an image is decoded. */
export interface DecodeTurn {
  /** Workspaces take turns. */
  workspaceId: string;
  /** An image that was paid for comes before uploads and variants, of all workspaces. */
  isPaid: boolean;
}

/** Images of no workspace share its turns. */
export const NO_WORKSPACE: DecodeTurn = { workspaceId: '', isPaid: false };

/**
 * The slots for decoding images. An image is read while it is decoded, so a decoder can hang, and nothing can interrupt it. The
 * time in which an image waits for its slot does not count, however long the queue is.
 */
export class Decoders {
  private readonly slots: FairSlots;
  /** What is not paid waits for its share first, and then for one of the slots. */
  private readonly unpaidShare: FairSlots;
  private hanging = 0;

  constructor(
    private readonly timeoutMs = DECODER_TIMEOUT_MS,
    private readonly capacity = MAX_CONCURRENT_DECODES,
  ) {
    this.slots = new FairSlots({ capacity });
    this.unpaidShare = new FairSlots({ capacity: Math.max(1, capacity - SLOTS_FOR_PAID) });
  }

  /** Runs `work` in its turn. Throws StoreUnavailable when it takes too long, and at once while every decoder hangs. */
  async run<Result>(turn: DecodeTurn, work: () => Promise<Result>): Promise<Result> {
    this.throwIfAllHang();
    if (turn.isPaid) return this.runInSlot(turn, work);
    // A decoder that hangs gives its share back, so that the others go on in the other slots.
    return this.unpaidShare.run({ owner: turn.workspaceId }, () => this.runInSlot(turn, work));
  }

  private async runInSlot<Result>(
    { workspaceId, isPaid }: DecodeTurn,
    work: () => Promise<Result>,
  ): Promise<Result> {
    this.throwIfAllHang();
    const release = await this.slots.acquire({ owner: workspaceId, isUrgent: isPaid });
    const decoding = work().finally(release);
    const result = await withTimeout(decoding, this.timeoutMs);
    if (result !== TIMED_OUT) return result;
    this.hanging += 1;
    const onEnd = () => (this.hanging -= 1);
    decoding.then(onEnd, onEnd);
    if (this.hanging === this.capacity)
      for (const slots of [this.unpaidShare, this.slots]) slots.rejectWaiting(noResponse());
    throw noResponse();
  }

  private throwIfAllHang(): void {
    if (this.hanging === this.capacity) throw noResponse();
  }
}

function noResponse(): StoreUnavailable {
  return new StoreUnavailable('the disk did not respond in time');
}
