interface BatchedWriterOptions<Item> {
  /** How long the first item of a batch waits for others. */
  delayMs: number;
  /** A batch of this size is written without waiting for others. */
  maxItems: number;
  write: (items: Item[]) => Promise<unknown>;
  /** Called for a batch that could not be written. It is not written again. */
  onError: (error: unknown, items: readonly Item[]) => void;
}

/**
 * Collects items and writes them in batches, one after the other. Callers never wait. An item replaces the pending one with its
 * key.
 */
export class BatchedWriter<Item> {
  private pending = new Map<string, Item>();
  private timer: NodeJS.Timeout | undefined;
  private lastWrite: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: BatchedWriterOptions<Item>) {}

  get size(): number {
    return this.pending.size;
  }

  /** The pending item with this key. */
  get(key: string): Item | undefined {
    return this.pending.get(key);
  }

  add(key: string, item: Item): void {
    this.pending.set(key, item);
    if (this.pending.size >= this.options.maxItems) void this.flush();
    else this.timer ??= setTimeout(() => void this.flush(), this.options.delayMs).unref();
  }

  /** Writes the pending items. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const items = [...this.pending.values()];
    this.pending = new Map();
    const { write, onError } = this.options;
    if (items.length > 0)
      this.lastWrite = this.lastWrite
        .then(() => write(items))
        .catch((error: unknown) => onError(error, items));
    await this.lastWrite;
  }
}
