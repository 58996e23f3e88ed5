import { createHash } from 'node:crypto';

/** Pseudo-random numbers that are the same for the same text on every machine (mulberry32, seeded with a SHA-256). */
export class SeededRandom {
  private state: number;

  constructor(text: string) {
    this.state = createHash('sha256').update(text).digest().readUInt32LE(0);
  }

  /** From 0 inclusive to 1 exclusive. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** One of the items, which must not be empty. */
  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.next() * items.length)] as Item;
  }
}
