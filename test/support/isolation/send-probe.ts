import { type TestApp } from '../app/test-app.js';
import { type Answered } from './compare-responses.js';
import { QUESTION, type Statements } from './statement-recorder.js';

/** Asks, and tells what was answered and which statements that took. */
export class Asking {
  /** Every request that was made. */
  count = 0;

  constructor(
    private readonly app: TestApp,
    private readonly statements: Statements,
  ) {}

  graphql(key: string, query: string, variables: object): Promise<Answered> {
    const body = JSON.stringify({ query, variables });
    return this.send('/graphql', key, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
  }

  async send(path: string, key: string | null, init: RequestInit = {}): Promise<Answered> {
    const question = String((this.count += 1));
    const headers = new Headers(init.headers);
    headers.set(QUESTION, question);
    if (key !== null) headers.set('authorization', `Bearer ${key}`);
    const response = await fetch(this.app.url + path, { redirect: 'manual', ...init, headers });
    const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
    const { status } = response;
    return {
      status,
      headers: Object.fromEntries(response.headers),
      text,
      statements: this.statements.take(question),
    };
  }
}
