/** The text is not JSON. `line`, from 1, says where it stops being JSON. */
export class JsonSyntaxError extends Error {
  constructor(
    readonly line: number,
    found: string,
  ) {
    super(found === '' ? 'unexpected end of text' : `unexpected "${found.slice(0, 20)}"`);
    this.name = 'JsonSyntaxError';
  }
}

const WHITESPACE = /[ \t\n\r]*/y;
const TOKEN =
  /[{}[\],:]|"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/**
 * Maps the path of every value in a JSON text, such as `prices.0.model`, to its line, from 1. The whole text has the
 * empty path. Throws JsonSyntaxError. `JSON.parse` itself reports no line, or one whose form depends on the version
 * of Node.
 */
export function mapJsonPathsToLines(text: string): Map<string, number> {
  const linesByPath = new Map<string, number>();
  let offset = 0;
  const match = (pattern: RegExp): string => {
    pattern.lastIndex = offset;
    const [found = ''] = pattern.exec(text) ?? [];
    offset += found.length;
    return found;
  };
  const currentLine = () => text.slice(0, offset).split('\n').length;
  const fail = (): never => {
    throw new JsonSyntaxError(currentLine(), /\S*/.exec(text.slice(offset))?.[0] ?? '');
  };
  const peek = () => {
    match(WHITESPACE);
    return text[offset] ?? '';
  };
  const expect = (expected: string) => {
    if (peek() !== expected) fail();
    offset += 1;
  };
  /** Parses members or items up to the closing bracket. */
  const parseList = (open: string, close: string, item: (index: number) => void) => {
    expect(open);
    if (peek() === close) return expect(close);
    for (let index = 0; ; index += 1) {
      item(index);
      if (peek() !== ',') return expect(close);
      expect(',');
    }
  };
  const parseValue = (path: readonly (string | number)[]): void => {
    const first = peek();
    linesByPath.set(path.join('.'), currentLine());
    if (first === '{') {
      parseList('{', '}', () => {
        if (peek() !== '"') fail();
        const name = JSON.parse(match(TOKEN) || fail()) as string;
        expect(':');
        parseValue([...path, name]);
      });
    } else if (first === '[') {
      parseList('[', ']', (index) => parseValue([...path, index]));
    } else if (/[}\],:]/.test(first) || match(TOKEN) === '') {
      fail();
    }
  };
  parseValue([]);
  if (peek() !== '') fail();
  return linesByPath;
}
