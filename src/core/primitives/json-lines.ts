/** A text that is not JSON, and where. */
export class JsonFault extends Error {
  constructor(
    readonly line: number,
    found: string,
  ) {
    super(found === '' ? 'the text ends too early' : `"${found.slice(0, 20)}" is not expected here`);
    this.name = 'JsonFault';
  }
}

const SPACE = /[ \t\n\r]*/y;
const TOKEN =
  /[{}[\],:]|"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/**
 * The line, from 1, of everything in a JSON text, by its path: `prices.0.model`; the whole is the empty path. Throws
 * JsonFault. JSON.parse itself tells no place, or one that depends on the version of Node.
 */
export function linesOfJson(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  let at = 0;
  const skip = (form: RegExp): string => {
    form.lastIndex = at;
    const [found = ''] = form.exec(text) ?? [];
    at += found.length;
    return found;
  };
  const lineHere = () => text.slice(0, at).split('\n').length;
  const fail = (): never => {
    throw new JsonFault(lineHere(), /\S*/.exec(text.slice(at))?.[0] ?? '');
  };
  const peek = () => {
    skip(SPACE);
    return text[at] ?? '';
  };
  const take = (wanted: string) => {
    if (peek() !== wanted) fail();
    at += 1;
  };
  /** Reads members or items up to the closing sign. */
  const list = (open: string, close: string, item: (index: number) => void) => {
    take(open);
    if (peek() === close) return take(close);
    for (let index = 0; ; index += 1) {
      item(index);
      if (peek() !== ',') return take(close);
      take(',');
    }
  };
  const value = (path: readonly (string | number)[]): void => {
    const first = peek();
    lines.set(path.join('.'), lineHere());
    if (first === '{') {
      list('{', '}', () => {
        if (peek() !== '"') fail();
        const name = JSON.parse(skip(TOKEN) || fail()) as string;
        take(':');
        value([...path, name]);
      });
    } else if (first === '[') {
      list('[', ']', (index) => value([...path, index]));
    } else if (/[}\],:]/.test(first) || skip(TOKEN) === '') {
      fail();
    }
  };
  value([]);
  if (peek() !== '') fail();
  return lines;
}
