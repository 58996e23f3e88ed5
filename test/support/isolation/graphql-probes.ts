import { type Signer } from '../../../src/core/access/signer.js';
import { type EventCursorCodec } from '../../../src/core/events/event-cursor.js';
import {
  ALWAYS_SENT,
  ARGUMENT_VALUES,
  type ArgumentValue,
  nonexistentId,
  type NonexistentIdKind,
  nonexistentMarker,
  type ValueForm,
} from './argument-values.js';
import { isMarker, type Row } from './database-rows.js';
import { type RootField, type ScalarArgument } from './schema-documents.js';
import { type OwnResources } from './workspace-builder.js';

/** A caller that asks for data it must not see. */
export interface Intruder {
  name: string;
  apiKey: string;
  own: OwnResources;
  /** `own`, once with each of the caller's tasks as `task`, and once with each of its images as `image`. */
  ownVariants: OwnResources[];
  /** Whether the caller belongs to the victim's workspace. */
  isInsider: boolean;
  /** Whether the caller may see this row of the victim's workspace. */
  mayRead: (row: Row) => boolean;
  /** The identifiers that the caller must not see, by their column. */
  foreignByColumn: Map<string, string[]>;
  /** The same, all together. */
  foreignIdentifiers: ReadonlySet<string>;
  /** Event log positions of foreign events, and of the caller's own, in order. */
  positions: { foreign: bigint[]; own: bigint[] };
}

/** One argument of one root field, to be sent foreign identifiers. */
export interface Probe {
  root: RootField;
  argument: ScalarArgument;
  argumentValue: Extract<ArgumentValue, { form: ValueForm }>;
  enumValues: { path: string[]; value: string }[];
}

/** Two values for one argument: a foreign one, and one that never existed. */
export interface ProbePair {
  foreign: ProbeValue;
  nonexistent: ProbeValue;
}
export interface ProbeValue {
  value: unknown;
  /** The forms in which a response can echo it. */
  texts: string[];
}

/** Number of identifiers sent to an argument that does not look anything up: a cursor or a text. */
const MAX_TEXT_IDENTIFIERS = 6;

/** Builds every probe that the schema allows. Throws for an argument without a row in ARGUMENT_VALUES. */
export function buildProbes(roots: readonly RootField[]): Probe[] {
  return roots.flatMap((root) =>
    root.scalarArguments.flatMap((argument) => {
      const argumentValue = argumentValueFor(argument.coordinate);
      // Nested arguments of mutations are covered by queries.
      if (!('form' in argumentValue) || (argument.isNested && root.operation === 'mutation')) return [];
      return enumCombinations(root).map((enumValues) => ({ root, argument, argumentValue, enumValues }));
    }),
  );
}

export function argumentValueFor(coordinate: string): ArgumentValue {
  const argumentValue = ARGUMENT_VALUES[coordinate];
  if (argumentValue) return argumentValue;
  throw new Error(
    `${coordinate} has no row in ARGUMENT_VALUES. Add one in test/support/isolation/argument-values.ts: see README.md there.`,
  );
}

/** Returns every combination of values for the required enums of a root field. */
export function enumCombinations({ enumArguments }: RootField): Probe['enumValues'][] {
  return enumArguments.reduce<Probe['enumValues'][]>(
    (combinations, { path, values }) =>
      combinations.flatMap((chosen) => values.map((value) => [...chosen, { path, value }])),
    [[]],
  );
}

/** Returns the variables of a probe: `value` for its argument, and the caller's own or fixed values for the others. */
export function probeVariables(
  { root, argument, argumentValue, enumValues }: Probe,
  own: OwnResources,
  value: unknown,
): object {
  const variables = baselineVariables(root, own, enumValues);
  for (const name of argumentValue.omit ?? [])
    setPath(variables, [...argument.path.slice(0, -1), name], undefined);
  setPath(variables, argument.path, argument.isList && !Array.isArray(value) ? [value] : value);
  return variables;
}

/** Returns variables that name only the caller's own resources. `includeOptional`: also the optional ones of mutations. */
export function baselineVariables(
  root: RootField,
  own: OwnResources,
  enumValues: Probe['enumValues'],
  { includeOptional = false } = {},
): Record<string, unknown> {
  const variables: Record<string, unknown> = {};
  for (const { path, value } of enumValues) setPath(variables, path, value);
  for (const { coordinate, path, isRequired, isList } of root.scalarArguments) {
    const argumentValue = argumentValueFor(coordinate);
    const isSent =
      isRequired || ALWAYS_SENT.includes(coordinate) || (includeOptional && root.operation === 'mutation');
    const ownValue = () =>
      'own' in argumentValue && argumentValue.own && isSent ? own[argumentValue.own] : undefined;
    const value = 'fixedValue' in argumentValue ? argumentValue.fixedValue : ownValue();
    if (value !== undefined) setPath(variables, path, isList && !Array.isArray(value) ? [value] : value);
  }
  return variables;
}

function setPath(target: Record<string, unknown>, [name = '', ...rest]: string[], value: unknown): void {
  if (rest.length === 0) target[name] = value;
  else setPath((target[name] ??= {}) as Record<string, unknown>, rest, value);
}

/** Makes the values that probes send. */
export class ProbeValues {
  constructor(
    private readonly signer: Signer,
    private readonly cursors: EventCursorCodec,
    private readonly publicUrl: string,
    private readonly webhookUrl: string,
  ) {}

  /** The identifiers that every intruder sends: all for an argument that takes IDs, a sample for the others. */
  identifiersToSend(probe: Probe, intruder: Intruder): string[] {
    const identifiers = this.allIdentifiers(probe, intruder);
    if (probe.argument.isNested) return identifiers.slice(0, 1);
    return probe.argumentValue.form === 'id' ? identifiers : sampleEvenly(identifiers, MAX_TEXT_IDENTIFIERS);
  }

  /** Every foreign identifier for an argument, those of its own columns first. For an event cursor, the positions. */
  allIdentifiers(
    { argumentValue: { form, columns } }: Probe,
    { foreignByColumn, positions }: Intruder,
  ): string[] {
    if (form === 'event cursor') return positions.foreign.map(String);
    const takesMarkers = ['text', 'json', 'webhook URL'].includes(form);
    const takesBoth = ['budget cursor', 'usage cursor'].includes(form);
    const fits = (identifier: string) => takesBoth || isMarker(identifier) === takesMarkers;
    const fromColumns = (columns ?? []).flatMap((column) => foreignByColumn.get(column) ?? []);
    const fromOthers = [...foreignByColumn.values()].map((identifiers) => identifiers.find(fits) ?? '');
    return [...new Set([...fromColumns, ...fromOthers])].filter((each) => each !== '' && fits(each));
  }

  /** Builds the pair for a foreign identifier. `upperCase` applies to IDs, which are case-insensitive. */
  buildPair(
    { argumentValue: { form } }: Probe,
    identifier: string,
    intruder: Intruder,
    kind: NonexistentIdKind,
    { upperCase = false } = {},
  ): ProbePair {
    if (form === 'event cursor') return this.buildPositionPair(BigInt(identifier), intruder);
    const isCursor = form.endsWith('cursor');
    const other = isMarker(identifier)
      ? nonexistentMarker(identifier, isCursor ? 'beside' : 'elsewhere')
      : nonexistentId(isCursor ? 'neighbor' : kind, identifier);
    const cased = (each: string) => (upperCase && form === 'id' ? each.toUpperCase() : each);
    return {
      foreign: this.buildValue(form, cased(identifier)),
      nonexistent: this.buildValue(form, cased(other)),
    };
  }

  /**
   * An event cursor is a position, and does not say whose event is there. All positions between two of the caller's own
   * events are equivalent, so the other one of the pair is that of the caller's own event before it.
   */
  private buildPositionPair(position: bigint, { positions }: Intruder): ProbePair {
    const ownPosition = positions.own.filter((own) => own <= position).at(-1) ?? 0n;
    const toValue = (each: bigint): ProbeValue => {
      const value = this.cursors.encode(each);
      return { value, texts: [value] };
    };
    return { foreign: toValue(position), nonexistent: toValue(ownPosition) };
  }

  private buildValue(form: ValueForm, identifier: string): ProbeValue {
    const value = this.encodeValue(form, identifier);
    return { value, texts: typeof value === 'string' ? [value, identifier] : [identifier] };
  }

  private encodeValue(form: ValueForm, identifier: string): unknown {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    if (form === 'budget cursor') return encode([isMarker(identifier) ? 'END_USER' : 'API_KEY', identifier]);
    if (form === 'usage cursor') return encode([identifier, 'USD']);
    if (form === 'json') return { [identifier]: identifier };
    if (form === 'webhook URL') return this.webhookUrlFor(identifier);
    if (form === 'image link') return this.signedImageLink(identifier);
    return identifier;
  }

  webhookUrlFor(identifier: string): string {
    return `${this.webhookUrl}/${identifier}`;
  }

  /** Signs a link as the service does, also for an image that never existed. */
  signedImageLink(imageId: string): string {
    return `${this.publicUrl}/images/${imageId}?t=${this.signer.sign('image-link', `${imageId}.`, 16)}`;
  }
}

function sampleEvenly<Item>(items: readonly Item[], count: number): Item[] {
  const step = Math.max(1, Math.floor(items.length / count));
  return items.filter((_, index) => index % step === 0).slice(0, count);
}
