/**
 * When a part that works in the background last got something done. Whether a part is alive is judged by this, because a part
 * can exist, wait for an answer that never comes, and do nothing.
 */
export class Progress {
  private at = performance.now();

  /** Call after each success, also when there was nothing to do. */
  record(): void {
    this.at = performance.now();
  }

  /** Milliseconds since the last success, by a clock that never jumps. */
  get ageMs(): number {
    return performance.now() - this.at;
  }
}
