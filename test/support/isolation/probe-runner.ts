import { expect } from '@jest/globals';
import { waitFor } from '../wait-for.js';
import { type Answered, comparable, leaksIn } from './compare-responses.js';
import { Asking } from './send-probe.js';
import { fieldsIn, type RootField } from './schema-documents.js';
import { unknownId, unknownWord } from './argument-values.js';
import {
  type Asker,
  ownVariables,
  type Question,
  type Sent,
  type Unknown,
  variablesOf,
} from './graphql-probes.js';
import { ROUTE_QUESTIONS } from './route-probes.js';
import { isWord } from './database-rows.js';
import { type Stage } from './isolation-setup.js';
import { type Statements } from './statement-recorder.js';
import { pushedIn, watchUntil } from './stream-probes.js';

/** Others' idempotency keys that an argument for one is sent. */
const KEYS = 3;

/** An answer, and how what was sent can come back in it. */
interface Told {
  answer: Answered;
  texts: string[];
}

/** Asks each question twice, with something of others' and with something that never was, and remembers what it has seen. */
export class Walker {
  /** `Type.field`s that answers have shown, arguments and routes that were asked about. */
  readonly fields = new Set<string>();
  readonly slots = new Set<string>();
  readonly routes = new Set<string>();
  readonly asking: Asking;
  /** What askers have written down themselves: they know it, and it is in what is theirs. */
  private readonly written = new Map<Asker, Set<string>>();
  /** What askers have sent as idempotency keys. */
  private readonly keys = new Set<string>();

  constructor(
    private readonly stage: Stage,
    statements: Statements,
  ) {
    this.asking = new Asking(stage.app, statements);
  }

  /** Asks for what is one's own. */
  async look(
    root: RootField,
    asker: Asker,
    own: Asker['own'],
    choices: Question['choices'],
  ): Promise<Answered> {
    const answer = await this.ask(root, asker, ownVariables(root, own, choices, true));
    this.expectNoLeak(`${root.name} by ${asker.name}`, { answer, texts: [] }, asker);
    return answer;
  }

  /** The names that a question is asked with by everybody. */
  namesFor(question: Question, asker: Asker): string[] {
    const { pairs } = this.stage;
    if (!isKey(question)) return pairs.namesFor(question, asker);
    return pairs
      .allNamesFor(question, asker)
      .filter((name) => this.isFresh(name, asker))
      .slice(0, KEYS);
  }

  /** Fails when anything tells the two answers apart, or when others' things are shown. */
  async compare(
    question: Question,
    name: string,
    asker: Asker,
    unknown: Unknown,
    inCapitals = false,
  ): Promise<void> {
    const { root, slot } = question;
    if (isKey(question) && !this.isFresh(name, asker)) return;
    const pair = this.stage.pairs.pair(question, name, asker, unknown, inCapitals);
    const about = `${slot.coordinate} of ${root.name} with ${name} by ${asker.name}`;
    const tell = async ({ value, texts }: Sent): Promise<Told> => ({
      answer: await this.ask(root, asker, variablesOf(question, asker.own, value)),
      texts,
    });
    // An idempotency key is looked for when it is sent again.
    for (let round = 1; round <= (isKey(question) ? 2 : 1); round += 1) {
      const [foreign, other] = [await tell(pair.foreign), await tell(pair.unknown)];
      if (root.operation === 'mutation') this.writtenBy(asker).add(name);
      this.expectSame(about, foreign, other, asker);
    }
    if (isKey(question)) this.keys.add(`${asker.name} ${name}`);
    this.slots.add(slot.coordinate);
  }

  /** The same over a stream, while things happen in the other workspace, of which nothing may be pushed. */
  async compareWatch(question: Question, name: string, asker: Asker): Promise<void> {
    const { root, slot } = question;
    const { app, pairs } = this.stage;
    const pair = pairs.pair(question, name, asker, 'neighbour');
    const { running } = asker.own;
    const tell = async ({ value, texts }: Sent): Promise<Told> => {
      const variables = variablesOf(question, asker.own, slot.isList ? [value, running] : value);
      const operation = { query: root.document, variables };
      this.asking.count += 1;
      const made: string[] = [];
      const answer = await watchUntil(app, { operation, key: asker.key }, running, async () => {
        made.push(...(await this.stage.happenToVictim()));
      });
      for (const data of pushedIn(answer.text)) this.note(root, data);
      expect(made.filter((secret) => answer.text.includes(secret))).toEqual([]);
      return { answer, texts };
    };
    const [foreign, other] = [await tell(pair.foreign), await tell(pair.unknown)];
    this.expectSame(
      `${slot.coordinate} of ${root.name} with ${name} by ${asker.name}`,
      foreign,
      other,
      asker,
    );
    this.slots.add(slot.coordinate);
  }

  /** The same at a route. */
  async compareRoute(route: string, name: string, asker: Asker): Promise<void> {
    const isWriting = route === 'POST /flux/images';
    if (isWriting && isWord(name) && !this.isFresh(name, asker)) return;
    const { pairs, signer } = this.stage;
    const tell = async (one: string): Promise<Told[]> => {
      const answers: Told[] = [];
      for (const { path, init, isAnonymous } of ROUTE_QUESTIONS[route]?.(one, {
        own: asker.own,
        pairs,
        signer,
      }) ?? [])
        answers.push({
          answer: await this.asking.send(path, isAnonymous ? null : asker.key, init),
          texts: [one],
        });
      if (isWriting) await this.sealed();
      return answers;
    };
    const unknown = isWord(name) ? unknownWord(name, 'elsewhere') : unknownId('neighbour', name);
    const [foreign, other] = [await tell(name), await tell(unknown)];
    if (isWriting) this.writtenBy(asker).add(name);
    if (isWriting) this.keys.add(`${asker.name} ${name}`);
    for (const [index, told] of foreign.entries())
      this.expectSame(`${route} with ${name} by ${asker.name}`, told, other[index], asker);
    this.routes.add(route);
  }

  /** Fails when `work` changes anything that is others'. */
  async unchanged(asker: Asker, work: () => Promise<void>): Promise<void> {
    expect(await this.stage.changesFor(asker, work)).toEqual([]);
  }

  expectSame(about: string, foreign: Told, unknown: Told | undefined, asker: Asker): void {
    this.expectNoLeak(about, foreign, asker);
    const [one, other] = [foreign, unknown].map((told) => told && comparable(told.answer, told.texts));
    expect({ about, ...one }).toEqual({ about, ...other });
  }

  note(root: RootField, data: unknown): void {
    if (data) this.fields.add(root.name);
    fieldsIn(data, this.fields);
  }

  private async ask(root: RootField, asker: Asker, variables: object): Promise<Answered> {
    const answer = await this.asking.graphql(asker.key, root.document, variables);
    if (root.operation === 'mutation') await this.sealed();
    this.note(root, (JSON.parse(answer.text) as { data?: unknown }).data);
    return answer;
  }

  private expectNoLeak(about: string, { answer, texts }: Told, asker: Asker): void {
    const written = this.writtenBy(asker);
    const leaks = leaksIn(answer.text, texts, asker.foreignNames).filter((name) => !written.has(name));
    expect({ about, leaks }).toEqual({ about, leaks: [] });
  }

  /**
   * An idempotency key is one of the whole workspace, as docs/SECURITY.md says: a token may meet the workspace's, and everybody
   * their own of before.
   */
  private isFresh(name: string, asker: Asker): boolean {
    return !asker.isInsider && !this.keys.has(`${asker.name} ${name}`);
  }

  private writtenBy(asker: Asker): Set<string> {
    const written = this.written.get(asker) ?? new Set();
    this.written.set(asker, written);
    return written;
  }

  /** Until every event has its place: what is read then stays as it is. */
  private async sealed(): Promise<void> {
    const unsealed = () => this.stage.app.rows('SELECT FROM task_events WHERE position IS NULL');
    await waitFor('the log', async () => (await unsealed()).length === 0);
  }
}

function isKey({ slot }: Question): boolean {
  return slot.coordinate.endsWith('.idempotencyKey');
}
