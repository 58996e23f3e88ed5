/** An LRU cache of buffers, limited to `maxEntries` and to `maxBytes` in total. */
export class RecentBufferCache {
  private readonly buffers = new Map<string, Buffer>();
  private totalBytes = 0;

  constructor(
    private readonly maxEntries: number,
    private readonly maxBytes: number,
  ) {}

  /** Returns the buffer and marks it as most recently used. Undefined when it is not cached. */
  get(key: string): Buffer | undefined {
    const bytes = this.buffers.get(key);
    if (bytes) {
      this.buffers.delete(key);
      this.buffers.set(key, bytes);
    }
    return bytes;
  }

  /** Adds the buffer and drops the least recently used ones until the limits are met. */
  put(key: string, bytes: Buffer): void {
    this.drop(key);
    this.buffers.set(key, bytes);
    this.totalBytes += bytes.length;
    for (const oldest of this.buffers.keys()) {
      if (this.buffers.size <= this.maxEntries && this.totalBytes <= this.maxBytes) return;
      this.drop(oldest);
    }
  }

  private drop(key: string): void {
    this.totalBytes -= this.buffers.get(key)?.length ?? 0;
    this.buffers.delete(key);
  }
}
