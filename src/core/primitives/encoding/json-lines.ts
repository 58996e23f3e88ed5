import { type Node, type ParseError, parseTree } from 'jsonc-parser';

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

/** A parsed JSON text. */
export interface JsonWithLines {
  value: unknown;
  /** The line, from 1, of the value at this path, or of the nearest enclosing value when the value is missing. */
  lineOf: (path: readonly PropertyKey[]) => number;
}

/**
 * Parses JSON, without comments or trailing commas. Throws JsonSyntaxError. `JSON.parse` itself reports no line, or one
 * whose form depends on the version of Node.
 */
export function parseJsonWithLines(text: string): JsonWithLines {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { disallowComments: true });
  const lineAt = (offset: number) => text.slice(0, offset).split('\n').length;
  const [error] = errors;
  if (error || !root) {
    const { offset, length } = error ?? { offset: text.length, length: 0 };
    throw new JsonSyntaxError(lineAt(offset), text.slice(offset, offset + length));
  }
  return {
    value: JSON.parse(text),
    lineOf: (path) => {
      let node = root;
      for (const segment of path) {
        const child = findChild(node, segment);
        if (!child) break;
        node = child;
      }
      return lineAt(node.offset);
    },
  };
}

/** Of several properties with the same key, the last one counts, as for `JSON.parse`. */
function findChild({ type, children = [] }: Node, segment: PropertyKey): Node | undefined {
  if (type === 'array') return children[Number(segment)];
  const property = children.findLast(({ children: [key] = [] }) => key?.value === segment);
  return property?.children?.[1];
}
