import { LRUCache } from 'lru-cache';

/** A receiver that answers within 100 ms is given 80 callbacks a second. */
const AT_ONCE = 8;
/** Receivers that are remembered as answering; a forgotten one begins anew, with one attempt at a time. */
const KEPT = 1_000;

/**
 * How many attempts each receiver may have under way. One until it has answered, whatever it said; then eight, until an
 * attempt gets no answer. So a silent receiver takes one socket for as long as it keeps us waiting, also at first and
 * after a restart.
 */
export class Receivers {
  private readonly underWay = new Map<string, number>();
  private readonly answering = new LRUCache<string, true>({ max: KEPT });

  began(receiver: string): void {
    this.underWay.set(receiver, (this.underWay.get(receiver) ?? 0) + 1);
  }

  /** `answered` is null for an attempt that was never made. */
  ended(receiver: string, answered: boolean | null): void {
    const left = (this.underWay.get(receiver) ?? 1) - 1;
    if (left > 0) this.underWay.set(receiver, left);
    else this.underWay.delete(receiver);
    if (answered === true) this.answering.set(receiver, true);
    if (answered === false) this.answering.delete(receiver);
  }

  /** Attempts that may be begun now; one for every receiver that is not named. */
  get room(): Record<string, number> {
    const room: Record<string, number> = {};
    for (const receiver of this.answering.keys()) room[receiver] = AT_ONCE;
    for (const [receiver, count] of this.underWay) {
      room[receiver] = Math.max(0, (this.answering.has(receiver) ? AT_ONCE : 1) - count);
    }
    return room;
  }
}
