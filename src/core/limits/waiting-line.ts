/** Work that waits. */
export interface WaitingWork {
  run: () => void;
  refuse: () => void;
}

/** What waits of a workspace. Its parts take turns: see `partOf` in src/core/limits/work-owner.ts. */
export class WaitingLine {
  /** The first one is served next. */
  private readonly parts = new Map<string, WaitingWork[]>();
  private count = 0;

  get length(): number {
    return this.count;
  }

  add(part: string, work: WaitingWork): void {
    const waiting = this.parts.get(part) ?? [];
    waiting.push(work);
    this.parts.set(part, waiting);
    this.count += 1;
  }

  takeNext(): WaitingWork | undefined {
    const [[part, [next, ...rest]] = ['', []]] = this.parts;
    // The others come first now.
    this.parts.delete(part);
    if (rest.length > 0) this.parts.set(part, rest);
    if (next) this.count -= 1;
    return next;
  }

  /** Takes what came last of the part with the most. */
  takeLast(): WaitingWork | undefined {
    const [[part, longest] = ['', []]] = [...this.parts].sort(
      ([, one], [, other]) => other.length - one.length,
    );
    const last = longest.pop();
    if (longest.length === 0) this.parts.delete(part);
    if (last) this.count -= 1;
    return last;
  }

  /** Whether another part has more than this one would have with one more. */
  hasMoreThan(part: string): boolean {
    const own = this.parts.get(part)?.length ?? 0;
    return [...this.parts.values()].some(({ length }) => length > own + 1);
  }
}
