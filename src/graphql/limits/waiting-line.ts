/** Work that waits. */
export interface WaitingWork {
  run: () => void;
  refuse: () => void;
}

/** What waits of a workspace. Its end users take turns, as does whoever works for no particular one. */
export class WaitingLine {
  /** By end user. The first one is served next. */
  private readonly parts = new Map<string, WaitingWork[]>();
  private count = 0;

  get length(): number {
    return this.count;
  }

  add(endUserId: string | null, work: WaitingWork): void {
    const part = this.parts.get(endUserId ?? '') ?? [];
    part.push(work);
    this.parts.set(endUserId ?? '', part);
    this.count += 1;
  }

  takeNext(): WaitingWork | undefined {
    const [[endUserId, part] = ['', []]] = this.parts;
    // The others come first now.
    this.parts.delete(endUserId);
    const [next, ...rest] = part;
    if (rest.length > 0) this.parts.set(endUserId, rest);
    if (next) this.count -= 1;
    return next;
  }

  /** Takes what came last of the end user with the most. */
  takeLast(): WaitingWork | undefined {
    const [[endUserId, longest] = ['', []]] = [...this.parts].sort(
      ([, one], [, other]) => other.length - one.length,
    );
    const last = longest.pop();
    if (longest.length === 0) this.parts.delete(endUserId);
    if (last) this.count -= 1;
    return last;
  }

  /** Whether another end user has more than this one would have with one more. */
  hasMoreThan(endUserId: string | null): boolean {
    const own = this.parts.get(endUserId ?? '')?.length ?? 0;
    return [...this.parts.values()].some(({ length }) => length > own + 1);
  }
}
