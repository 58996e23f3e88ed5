import { type TestApp } from '../app/test-app.js';
import { type RecordedResponse } from './compare-responses.js';
import { PROBE_ID_HEADER, type StatementRecorder } from './statement-recorder.js';

/** Sends requests, and returns each response with the statements that it took. */
export class ProbeClient {
  /** Number of requests sent. */
  requestCount = 0;

  constructor(
    private readonly app: TestApp,
    private readonly statements: StatementRecorder,
  ) {}

  graphql(apiKey: string, query: string, variables: object): Promise<RecordedResponse> {
    return this.send('/graphql', apiKey, {
      method: 'POST',
      body: JSON.stringify({ query, variables }),
      headers: { 'content-type': 'application/json' },
    });
  }

  /** Sends a request to a route. `apiKey` null: without credentials. */
  async send(path: string, apiKey: string | null, init: RequestInit = {}): Promise<RecordedResponse> {
    const probeId = String((this.requestCount += 1));
    const headers = new Headers(init.headers);
    headers.set(PROBE_ID_HEADER, probeId);
    if (apiKey !== null) headers.set('authorization', `Bearer ${apiKey}`);
    const response = await fetch(this.app.url + path, { redirect: 'manual', ...init, headers });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      text: Buffer.from(await response.arrayBuffer()).toString('latin1'),
      statements: this.statements.take(probeId),
    };
  }
}
