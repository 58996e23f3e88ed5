import { BoundedMap } from '../state/bounded-map.js';
import { ApiRefusal } from './api-refusal.js';
import { type ImageRequest } from './parse-request.js';

/** The shape that the real API's gateway answers with now and then: a plain string for an error. */
export class BareRefusal extends Error {
  readonly status = 500;
  readonly body = { error: 'upstream unavailable' };
}

/** Prompts whose refusals are counted; the oldest are forgotten first. */
const MAX_PROMPTS = 10_000;

/** Refuses the submissions whose prompt asks for it, and counts those that are to be refused a number of times only. */
export class Refusals {
  private readonly refused = new BoundedMap<number>(MAX_PROMPTS);

  /** @throws ApiRefusal or BareRefusal when this submission is to be refused. Nothing has been made then. */
  check({ prompt, directives }: ImageRequest): void {
    const { error, times } = directives;
    if (error === undefined) return;
    if (times !== undefined) {
      const count = this.refused.get(prompt) ?? 0;
      if (count >= times) return;
      this.refused.set(prompt, count + 1);
    }
    throw error === 'bare' ? new BareRefusal() : new ApiRefusal(error);
  }
}
