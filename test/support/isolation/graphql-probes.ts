import { type EventCursors } from '../../../src/core/events/event-cursor.js';
import { type Signer } from '../../../src/core/access/signer.js';
import { type RootField, type Slot } from './schema-documents.js';
import { ALWAYS_GIVEN, type Feed, FEEDS, type Form, unknownId, unknownWord } from './argument-values.js';
import { isWord, type Row } from './database-rows.js';
import { type Own } from './workspace-fixtures.js';

/** Somebody who asks for what is not theirs. */
export interface Asker {
  name: string;
  key: string;
  own: Own;
  /** The same with each of one's own tasks and images in its turn. */
  ownThings: Own[];
  /** It is of the workspace that is asked for. */
  isInsider: boolean;
  /** Of the rows of the workspace that is asked for, those that it may see. */
  isOwn: (row: Row) => boolean;
  /** Ids and words of others, by the column where they stand, and all of them. */
  foreign: Map<string, string[]>;
  foreignNames: ReadonlySet<string>;
  /** Positions in the log, of others' events and of one's own. */
  positions: { foreign: bigint[]; own: bigint[] };
}

/** An argument, asked about with others' names. */
export interface Question {
  root: RootField;
  slot: Slot;
  feed: Extract<Feed, { form: Form }>;
  choices: { path: string[]; value: string }[];
}

/** Two values for one argument: something of others', and something that never was. */
export interface Pair {
  foreign: Sent;
  unknown: Sent;
}
export interface Sent {
  value: unknown;
  /** How it can come back in an answer. */
  texts: string[];
}

/** So many names are sent where there is nothing to be found by one: places, and texts. */
const OTHER_NAMES = 6;

/** Which unknown name is sent beside a foreign one. */
export type Unknown = 'neighbour' | 'v7' | 'v4';

/** Every question that the schema has. Throws for an argument that the table does not know. */
export function questionsOf(roots: readonly RootField[]): Question[] {
  return roots.flatMap((root) =>
    root.slots.flatMap((slot) => {
      const feed = feedOf(slot.coordinate);
      // What is asked of the result of a mutation is asked of queries.
      if (!('form' in feed) || (slot.isNested && root.operation === 'mutation')) return [];
      return choicesOf(root).map((choices) => ({ root, slot, feed, choices }));
    }),
  );
}

export function feedOf(coordinate: string): Feed {
  const feed = FEEDS[coordinate];
  if (feed) return feed;
  throw new Error(
    `${coordinate} has no row in FEEDS of test/support/isolation/argument-values.ts. Say there whether it can name something of somebody's, and in which form; or give a plain value.`,
  );
}

/** Every way to give the enums that must be given. */
export function choicesOf({ choices }: RootField): Question['choices'][] {
  return choices.reduce<Question['choices'][]>(
    (before, { path, values }) =>
      before.flatMap((given) => values.map((value) => [...given, { path, value }])),
    [[]],
  );
}

/** The variables of a question: one's own and plain values, and the sent one in its place. */
export function variablesOf({ root, slot, feed, choices }: Question, own: Own, sent: unknown): object {
  const variables = ownVariables(root, own, choices, false);
  for (const name of feed.instead ?? []) put(variables, [...slot.path.slice(0, -1), name], undefined);
  put(variables, slot.path, slot.isList && !Array.isArray(sent) ? [sent] : sent);
  return variables;
}

/** What is good to ask with; `all`: with everything that can be given. */
export function ownVariables(
  root: RootField,
  own: Own,
  choices: Question['choices'],
  all: boolean,
): Record<string, unknown> {
  const variables: Record<string, unknown> = {};
  for (const { path, value } of choices) put(variables, path, value);
  for (const { coordinate, path, isRequired, isList } of root.slots) {
    const feed = feedOf(coordinate);
    const isGiven = isRequired || ALWAYS_GIVEN.includes(coordinate) || (all && root.operation === 'mutation');
    const value = 'plain' in feed ? feed.plain : isGiven && feed.own ? own[feed.own] : undefined;
    if (value !== undefined) put(variables, path, isList && !Array.isArray(value) ? [value] : value);
  }
  return variables;
}

function put(into: Record<string, unknown>, [name = '', ...rest]: string[], value: unknown): void {
  if (rest.length === 0) into[name] = value;
  else put((into[name] ??= {}) as Record<string, unknown>, rest, value);
}

/** Makes what is sent. */
export class Pairs {
  constructor(
    private readonly signer: Signer,
    private readonly cursors: EventCursors,
    private readonly publicUrl: string,
    private readonly receiver: string,
  ) {}

  /** The names that every argument is sent: the right ones, and one of every other column; of places and texts a few. */
  namesFor(question: Question, asker: Asker): string[] {
    const names = this.allNamesFor(question, asker);
    if (question.slot.isNested) return names.slice(0, 1);
    return question.feed.form === 'id' ? names : spread(names, OTHER_NAMES);
  }

  /** Every name that this argument can be sent, the right ones first; places of the log by their number. */
  allNamesFor({ feed }: Question, { foreign, positions }: Asker): string[] {
    if (feed.form === 'log place') return positions.foreign.map(String);
    const takesWords = ['word', 'json', 'address'].includes(feed.form);
    const takesAll = ['budget place', 'usage place'].includes(feed.form);
    const fits = (name: string) => takesAll || isWord(name) === takesWords;
    const right = (feed.of ?? []).flatMap((column) => foreign.get(column) ?? []);
    const others = [...foreign.values()].map((names) => names.find(fits) ?? '');
    return [...new Set([...right, ...others])].filter((name) => name !== '' && fits(name));
  }

  pair({ feed }: Question, name: string, asker: Asker, unknown: Unknown, inCapitals = false): Pair {
    if (feed.form === 'log place') return this.places(BigInt(name), asker);
    const isPlace = feed.form.endsWith('place');
    const other = isWord(name)
      ? unknownWord(name, isPlace ? 'beside' : 'elsewhere')
      : unknownId(isPlace ? 'neighbour' : unknown, name);
    const cased = (each: string) => (inCapitals && feed.form === 'id' ? each.toUpperCase() : each);
    return { foreign: this.sent(feed.form, cased(name)), unknown: this.sent(feed.form, cased(other)) };
  }

  /** A place of the log says where, not whose: between two events of one's own, any two are the same. */
  private places(position: bigint, { positions }: Asker): Pair {
    const before = positions.own.filter((own) => own <= position).at(-1) ?? 0n;
    const [foreign, unknown] = [position, before].map((each) => {
      const value = this.cursors.encode(each);
      return { value, texts: [value] };
    });
    return { foreign: foreign as Sent, unknown: unknown as Sent };
  }

  private sent(form: Form, name: string): Sent {
    const value = this.valueOf(form, name);
    return { value, texts: typeof value === 'string' ? [value, name] : [name] };
  }

  private valueOf(form: Form, name: string): unknown {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    if (form === 'budget place') return encode([isWord(name) ? 'END_USER' : 'KEY', name]);
    if (form === 'usage place') return encode([name, 'USD']);
    if (form === 'json') return { [name]: name };
    if (form === 'address') return this.address(name);
    if (form === 'image link') return this.imageLink(name);
    return name;
  }

  address(name: string): string {
    return `${this.receiver}/${name}`;
  }

  /** As the service signs it, also for an image that never was. */
  imageLink(imageId: string): string {
    return `${this.publicUrl}/images/${imageId}?t=${this.signer.sign('image-link', `${imageId}.`, 16)}`;
  }
}

/** So many of them, from all over the list. */
function spread<Item>(items: readonly Item[], count: number): Item[] {
  const step = Math.max(1, Math.floor(items.length / count));
  return items.filter((_, index) => index % step === 0).slice(0, count);
}
