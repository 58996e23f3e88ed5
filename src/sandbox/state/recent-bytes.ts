/** Keeps the buffers used last, at most `maxEntries` of them and at most `maxBytes` together. */
export class RecentBytes {
  private readonly buffers = new Map<string, Buffer>();
  private heldBytes = 0;

  constructor(
    private readonly maxEntries: number,
    private readonly maxBytes: number,
  ) {}

  /** The buffer, which thereby becomes the one used last, or undefined when it was never put or has been dropped. */
  get(key: string): Buffer | undefined {
    const bytes = this.buffers.get(key);
    if (bytes) {
      this.buffers.delete(key);
      this.buffers.set(key, bytes);
    }
    return bytes;
  }

  /** Keeps the buffer and drops those used longest ago until the limits hold. */
  put(key: string, bytes: Buffer): void {
    this.drop(key);
    this.buffers.set(key, bytes);
    this.heldBytes += bytes.length;
    for (const oldest of this.buffers.keys()) {
      if (this.buffers.size <= this.maxEntries && this.heldBytes <= this.maxBytes) return;
      this.drop(oldest);
    }
  }

  private drop(key: string): void {
    this.heldBytes -= this.buffers.get(key)?.length ?? 0;
    this.buffers.delete(key);
  }
}
