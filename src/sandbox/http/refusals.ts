import { LRUCache } from 'lru-cache';
import { ApiRefusal, PlainStringRefusal } from './api-refusal.js';
import { type SandboxImageRequest } from './parse-request.js';

/** Number of prompts whose refusals are counted. The least recently used are dropped first. */
const MAX_PROMPTS = 10_000;

/** Refuses submissions whose prompt requests it, and counts the refusals of prompts that limit them with `times`. */
export class RefusalCounter {
  private readonly countsByPrompt = new LRUCache<string, number>({ max: MAX_PROMPTS });

  /** @throws ApiRefusal or PlainStringRefusal when the submission must be refused. */
  throwIfRefused({ prompt, directives }: SandboxImageRequest): void {
    const { error, times } = directives;
    if (error === undefined) return;
    if (times !== undefined) {
      const count = this.countsByPrompt.get(prompt) ?? 0;
      if (count >= times) return;
      this.countsByPrompt.set(prompt, count + 1);
    }
    throw error === 'bare' ? new PlainStringRefusal() : new ApiRefusal(error);
  }
}
