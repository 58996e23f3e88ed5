import fc from 'fast-check';

/** How the text of a request becomes bytes. */
export type Encoding =
  | 'utf-8'
  | 'utf-8 with mark'
  | 'latin-1'
  | 'utf-16le'
  | 'utf-16be with mark'
  | 'truncated'
  | 'one byte changed'
  | 'one byte inserted';

/** The fields of a request for images, as JSON texts: what a caller means, whatever becomes of the bytes. */
export interface HostileFields {
  /** JSON text of the prompt. */
  prompt: string;
  /** JSON text of the metadata. */
  metadata: string;
  /** Whether the prompt occurs twice, with another value. */
  isRepeated: boolean;
}

/** Bytes of a request, and how they were made. */
export interface HostileBytes {
  fields: HostileFields;
  encoding: Encoding;
  /** Which byte is cut, changed or inserted, as a fraction of the length, and the new byte. */
  place: number;
  byte: number;
}

const TEXT_PIECES = [
  ...[
    'a',
    'Z',
    ' ',
    '0',
    '"',
    '\\',
    '/',
    '\b',
    '\t',
    '\n',
    '\0',
    '\x7f',
    '\u0085',
    'ü',
    'ß',
    '猫',
    'кот',
    '😀',
    '👩‍👩‍👧',
  ],
  ...[
    '\u200b',
    '\u2028',
    '\u2029',
    '\ufeff',
    '\ufffd',
    '\uffff',
    '\u0301',
    '\u202e',
    '%',
    '%FC',
    '&',
    '+',
    '\u{10ffff}',
  ],
];
/** Written in JSON as they are: escapes of whole characters, halves of pairs, and what only looks like an escape. */
const ESCAPES = [
  '\\ud83d\\ude00',
  '\\u00fc',
  '\\u0000',
  '\\/',
  '\\\\ud83d',
  '\\ud83d',
  '\\udE00',
  '\\uDBFF\\n',
  '\\ud83d\\\\',
];
const NUMBERS = [
  ...['0', '-0.5', '1', '1e3', '0.1', '1.5E-7', '9007199254740991', '-9007199254740991', '9007199254740992'],
  ...[
    '9007199254740993',
    '-9007199254740993',
    '12345678901234567890',
    '1e16',
    '1e400',
    '-1E999',
    '1e-400',
    '0e999',
  ],
];

const plainPiece = fc.constantFrom(...TEXT_PIECES).map((text) => JSON.stringify(text).slice(1, -1));
const piece = fc.oneof(
  { weight: 12, arbitrary: plainPiece },
  { weight: 1, arbitrary: fc.constantFrom(...ESCAPES) },
  {
    weight: 2,
    arbitrary: fc.string({ unit: 'binary', maxLength: 3 }).map((text) => JSON.stringify(text).slice(1, -1)),
  },
);
const stringText = fc.array(piece, { maxLength: 8 }).map((pieces) => `"${pieces.join('')}"`);
const scalar = fc.oneof(
  stringText,
  { weight: 2, arbitrary: fc.constantFrom(...NUMBERS) },
  fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }).map(String),
  fc.constantFrom('true', 'false', 'null'),
);
const { value: jsonText } = fc.letrec<{ value: string; list: string; object: string }>((tie) => ({
  value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, scalar, tie('list'), tie('object')),
  list: fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join(',')}]`),
  object: fc
    .array(fc.tuple(fc.oneof(stringText, fc.constantFrom('"a"', '"\\u0061"', '"__proto__"')), tie('value')), {
      maxLength: 3,
    })
    .map((members) => `{${members.map(([name, value]) => `${name}:${value}`).join(',')}}`),
}));
const deepText = fc
  .constantFrom(20, 40, 600, 1_500, 20_000)
  .map((depth) => '['.repeat(depth) + ']'.repeat(depth));

const fields: fc.Arbitrary<HostileFields> = fc.record({
  prompt: fc.oneof({ weight: 9, arbitrary: stringText.map((text) => `"p${text.slice(1)}`) }, stringText),
  metadata: fc.oneof({ weight: 30, arbitrary: jsonText }, deepText),
  isRepeated: fc.oneof({ weight: 12, arbitrary: fc.constant(false) }, fc.constant(true)),
});

export const hostileBytes: fc.Arbitrary<HostileBytes> = fc.record({
  fields,
  encoding: fc.oneof(
    { weight: 6, arbitrary: fc.constant<Encoding>('utf-8') },
    { weight: 6, arbitrary: fc.constant<Encoding>('one byte changed') },
    fc.constantFrom<Encoding>(
      ...([
        'utf-8 with mark',
        'latin-1',
        'utf-16le',
        'utf-16be with mark',
        'truncated',
        'one byte inserted',
      ] as const),
    ),
  ),
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  byte: fc.oneof(fc.nat(255), fc.constantFrom(0xff, 0xfc, 0x80, 0xc0, 0xed, 0x22, 0x5c, 0x00, 0x39)),
});

/** The bytes of a text. */
export function encode(text: string, { encoding, place, byte }: Omit<HostileBytes, 'fields'>): Buffer {
  const utf8 = Buffer.from(text);
  const index = Math.floor(place * utf8.length);
  switch (encoding) {
    case 'utf-8':
      return utf8;
    case 'utf-8 with mark':
      return Buffer.from(`\uFEFF${text}`);
    case 'latin-1':
      return Buffer.from(text, 'latin1');
    case 'utf-16le':
      return Buffer.from(text, 'utf16le');
    case 'utf-16be with mark':
      return Buffer.from(`\uFEFF${text}`, 'utf16le').swap16();
    case 'truncated':
      return utf8.subarray(0, index);
    case 'one byte changed':
      return Buffer.concat([utf8.subarray(0, index), Buffer.of(byte), utf8.subarray(index + 1)]);
    case 'one byte inserted':
      return Buffer.concat([utf8.subarray(0, index), Buffer.of(byte), utf8.subarray(index)]);
  }
}

/** A JSON text as its meaning: numbers as exact fractions, and objects with all of their fields. Null if it has none. */
export function meaningOf(bytes: Buffer): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    JSON.parse(text);
    return new MeaningReader(text).read();
  } catch {
    return null;
  }
}

/** A list or an object whose end has not been read. */
interface OpenValue {
  items: unknown[];
  /** Of an object: the names of its items. */
  names: string[] | null;
}

/** An independent, slow reader of valid JSON, to compare with. Throws for what has no exact meaning. */
class MeaningReader {
  private index = 0;

  constructor(private readonly text: string) {}

  /** Without recursion, because of deeply nested values. */
  read(): unknown {
    const root: OpenValue = { items: [], names: null };
    const open = [root];
    for (;;) {
      const current = open.at(-1) ?? root;
      this.skip(/[\s,:]*/y);
      const first = this.text[this.index];
      if (first === undefined) return root.items[0];
      if (first === '[' || first === '{') {
        this.index += 1;
        open.push({ items: [], names: first === '{' ? [] : null });
      } else if (first === ']' || first === '}') {
        this.index += 1;
        open.pop();
        (open.at(-1) ?? root).items.push(closed(current));
      } else if (first !== '"') current.items.push(this.readLiteral());
      else if (current.names && current.names.length === current.items.length)
        current.names.push(this.readString());
      else current.items.push(this.readString());
    }
  }

  private readLiteral(): unknown {
    const literal = this.skip(/[^\s,\]}]+/y);
    return ['true', 'false', 'null'].includes(literal) ? { literal } : { number: exactFraction(literal) };
  }

  private readString(): string {
    const value = JSON.parse(this.skip(/"(?:[^"\\]|\\.)*"/sy)) as string;
    if (/\p{Surrogate}/u.test(value)) throw new Error('half a character');
    return value;
  }

  private skip(pattern: RegExp): string {
    pattern.lastIndex = this.index;
    const [found = ''] = pattern.exec(this.text) ?? [];
    this.index += found.length;
    return found;
  }
}

function closed({ items, names }: OpenValue): unknown {
  if (!names) return items;
  if (new Set(names).size < names.length) throw new Error('a name occurs twice');
  const members = names.map((name, index): [string, unknown] => [name, items[index]]);
  return { object: members.sort(([a], [b]) => (a < b ? -1 : 1)) };
}

/** Digits and exponent without zeros at the end, so that equal numbers have equal texts. */
function exactFraction(literal: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(literal) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}
