import { expect } from '@jest/globals';
import { waitFor } from '../wait-for.js';
import { nonexistentId, type NonexistentIdKind, nonexistentMarker } from './argument-values.js';
import { findLeaks, normalizeResponse, type RecordedResponse } from './compare-responses.js';
import { isMarker } from './database-rows.js';
import {
  baselineVariables,
  type Intruder,
  type Probe,
  type ProbeValue,
  probeVariables,
} from './graphql-probes.js';
import { type IsolationSetup } from './isolation-setup.js';
import { ProbeClient } from './probe-client.js';
import { ROUTE_PROBES } from './route-probes.js';
import { collectFields, type RootField } from './schema-documents.js';
import { type StatementRecorder } from './statement-recorder.js';
import { parsePushedData, streamUntilSentinel } from './stream-probes.js';

/** Number of foreign idempotency keys that are sent to an argument for one. */
const MAX_IDEMPOTENCY_KEYS = 3;

/** A response, and the forms in which it can echo what was sent. */
interface ProbeResult {
  response: RecordedResponse;
  texts: string[];
}

/**
 * Sends each probe twice, with a foreign identifier and with one that never existed, and fails if the responses differ.
 * Remembers which fields, arguments and routes it has covered.
 */
export class ProbeRunner {
  /** `Type.field`s with a value in some response. */
  readonly seenFields = new Set<string>();
  readonly probedArguments = new Set<string>();
  readonly probedRoutes = new Set<string>();
  readonly client: ProbeClient;
  /** Foreign identifiers that an intruder has stored in its own data, which may show them from then on. */
  private readonly storedIdentifiers = new Map<Intruder, Set<string>>();
  /** Idempotency keys that an intruder has sent, with its name. */
  private readonly sentIdempotencyKeys = new Set<string>();

  constructor(
    private readonly setup: IsolationSetup,
    statements: StatementRecorder,
  ) {
    this.client = new ProbeClient(setup.app, statements);
  }

  /** Sends a root field with the caller's own resources. Fails if the response contains a foreign identifier. */
  async readOwn(
    root: RootField,
    intruder: Intruder,
    own: Intruder['own'],
    enumValues: Probe['enumValues'],
  ): Promise<RecordedResponse> {
    const variables = baselineVariables(root, own, enumValues, { includeOptional: true });
    const response = await this.sendGraphql(root, intruder, variables);
    this.expectNoLeak(`${root.name} by ${intruder.name}`, { response, texts: [] }, intruder);
    return response;
  }

  /** The identifiers that an intruder sends to this argument. */
  identifiersToSend(probe: Probe, intruder: Intruder): string[] {
    const { probeValues } = this.setup;
    if (!isIdempotencyKeyProbe(probe)) return probeValues.identifiersToSend(probe, intruder);
    return probeValues
      .allIdentifiers(probe, intruder)
      .filter((each) => this.isUnusedIdempotencyKey(each, intruder))
      .slice(0, MAX_IDEMPOTENCY_KEYS);
  }

  /** Fails if the two responses differ, or if one contains a foreign identifier. */
  async compareProbe(
    probe: Probe,
    identifier: string,
    intruder: Intruder,
    kind: NonexistentIdKind,
    { upperCase = false } = {},
  ): Promise<void> {
    const { root, argument } = probe;
    const isIdempotencyKey = isIdempotencyKeyProbe(probe);
    if (isIdempotencyKey && !this.isUnusedIdempotencyKey(identifier, intruder)) return;
    const pair = this.setup.probeValues.buildPair(probe, identifier, intruder, kind, { upperCase });
    const description = `${argument.coordinate} of ${root.name} with ${identifier} by ${intruder.name}`;
    const send = async ({ value, texts }: ProbeValue): Promise<ProbeResult> => ({
      response: await this.sendGraphql(root, intruder, probeVariables(probe, intruder.own, value)),
      texts,
    });
    // An idempotency key is looked up when it is repeated.
    for (let round = 1; round <= (isIdempotencyKey ? 2 : 1); round += 1) {
      const [foreign, nonexistent] = [await send(pair.foreign), await send(pair.nonexistent)];
      if (root.operation === 'mutation') this.storedBy(intruder).add(identifier);
      this.expectIndistinguishable(description, foreign, nonexistent, intruder);
    }
    if (isIdempotencyKey) this.sentIdempotencyKeys.add(`${intruder.name} ${identifier}`);
    this.probedArguments.add(argument.coordinate);
  }

  /** The same for a subscription, while the victim's workspace changes. Nothing of that may be pushed. */
  async compareSubscription(probe: Probe, identifier: string, intruder: Intruder): Promise<void> {
    const { root, argument } = probe;
    const { app, probeValues } = this.setup;
    const pair = probeValues.buildPair(probe, identifier, intruder, 'neighbor');
    const { running } = intruder.own;
    const subscribe = async ({ value, texts }: ProbeValue): Promise<ProbeResult> => {
      const variables = probeVariables(probe, intruder.own, argument.isList ? [value, running] : value);
      const operation = { query: root.document, variables };
      this.client.requestCount += 1;
      const victimTask: string[] = [];
      const stream = { operation, apiKey: intruder.apiKey };
      const response = await streamUntilSentinel(app, stream, running, async () => {
        victimTask.push(...(await this.setup.addVictimTask()));
      });
      for (const data of parsePushedData(response.text)) this.recordFields(root, data);
      expect(victimTask.filter((each) => response.text.includes(each))).toEqual([]);
      return { response, texts };
    };
    const [foreign, nonexistent] = [await subscribe(pair.foreign), await subscribe(pair.nonexistent)];
    const description = `${argument.coordinate} of ${root.name} with ${identifier} by ${intruder.name}`;
    this.expectIndistinguishable(description, foreign, nonexistent, intruder);
    this.probedArguments.add(argument.coordinate);
  }

  /** The same for a route. */
  async compareRoute(route: string, identifier: string, intruder: Intruder): Promise<void> {
    const createsTasks = route === 'POST /flux/images';
    if (createsTasks && isMarker(identifier) && !this.isUnusedIdempotencyKey(identifier, intruder)) return;
    const { probeValues, signer } = this.setup;
    const buildRequests = ROUTE_PROBES[route] ?? (() => []);
    const send = async (sent: string): Promise<ProbeResult[]> => {
      const results: ProbeResult[] = [];
      const requests = buildRequests(sent, { own: intruder.own, probeValues, signer });
      for (const { path, init, isAnonymous } of requests) {
        const response = await this.client.send(path, isAnonymous ? null : intruder.apiKey, init);
        results.push({ response, texts: [sent] });
      }
      if (createsTasks) await this.waitUntilSealed();
      return results;
    };
    const other = isMarker(identifier)
      ? nonexistentMarker(identifier, 'elsewhere')
      : nonexistentId('neighbor', identifier);
    const [foreign, nonexistent] = [await send(identifier), await send(other)];
    if (createsTasks) {
      this.storedBy(intruder).add(identifier);
      this.sentIdempotencyKeys.add(`${intruder.name} ${identifier}`);
    }
    const description = `${route} with ${identifier} by ${intruder.name}`;
    for (const [index, result] of foreign.entries())
      this.expectIndistinguishable(description, result, nonexistent[index], intruder);
    this.probedRoutes.add(route);
  }

  /** Fails if `work` changes a row that is foreign to the intruder. */
  async expectNoChanges(intruder: Intruder, work: () => Promise<void>): Promise<void> {
    expect(await this.setup.changesDuring(intruder, work)).toEqual([]);
  }

  private expectIndistinguishable(
    description: string,
    foreign: ProbeResult,
    nonexistent: ProbeResult | undefined,
    intruder: Intruder,
  ): void {
    this.expectNoLeak(description, foreign, intruder);
    const [actual, expected] = [foreign, nonexistent].map(
      (result) => result && normalizeResponse(result.response, result.texts),
    );
    expect({ description, ...actual }).toEqual({ description, ...expected });
  }

  private recordFields(root: RootField, data: unknown): void {
    if (data) this.seenFields.add(root.name);
    collectFields(data, this.seenFields);
  }

  private async sendGraphql(
    root: RootField,
    intruder: Intruder,
    variables: object,
  ): Promise<RecordedResponse> {
    const response = await this.client.graphql(intruder.apiKey, root.document, variables);
    if (root.operation === 'mutation') await this.waitUntilSealed();
    this.recordFields(root, (JSON.parse(response.text) as { data?: unknown }).data);
    return response;
  }

  private expectNoLeak(description: string, { response, texts }: ProbeResult, intruder: Intruder): void {
    const stored = this.storedBy(intruder);
    const leaks = findLeaks(response.text, texts, intruder.foreignIdentifiers).filter(
      (each) => !stored.has(each),
    );
    expect({ description, leaks }).toEqual({ description, leaks: [] });
  }

  /**
   * Idempotency keys are shared within a workspace: see docs/SECURITY.md. So an insider may meet those of the workspace, and
   * every intruder those that it sent before.
   */
  private isUnusedIdempotencyKey(key: string, intruder: Intruder): boolean {
    return !intruder.isInsider && !this.sentIdempotencyKeys.has(`${intruder.name} ${key}`);
  }

  private storedBy(intruder: Intruder): Set<string> {
    const stored = this.storedIdentifiers.get(intruder) ?? new Set();
    this.storedIdentifiers.set(intruder, stored);
    return stored;
  }

  /** Waits until every event has its position, so that later reads return the same. */
  private async waitUntilSealed(): Promise<void> {
    const unsealed = () => this.setup.app.rows('SELECT FROM task_events WHERE position IS NULL');
    await waitFor('every event to be sealed', async () => (await unsealed()).length === 0);
  }
}

function isIdempotencyKeyProbe({ argument }: Probe): boolean {
  return argument.coordinate.endsWith('.idempotencyKey');
}
