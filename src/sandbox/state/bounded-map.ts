/** A map that keeps at most `limit` entries and drops the oldest, so that memory stays bounded. */
export class BoundedMap<Value> {
  private readonly entries = new Map<string, Value>();

  constructor(private readonly limit: number) {}

  /** Sets the entry and makes it the newest. */
  set(key: string, value: Value): void {
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size <= this.limit) return;
    const [oldest] = this.entries.keys();
    if (oldest !== undefined) this.entries.delete(oldest);
  }

  get(key: string): Value | undefined {
    return this.entries.get(key);
  }

  /** From oldest to newest. */
  values(): Value[] {
    return [...this.entries.values()];
  }
}
