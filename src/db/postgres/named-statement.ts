import { type Statement } from './database.js';

/** Names of statements that are assembled in a few variants. Each variant is prepared once per connection under its own name. */
const statementNames = new Map<string, string>();

export function namedStatement(prefix: string, text: string): Statement {
  let name = statementNames.get(text);
  if (!name) statementNames.set(text, (name = `${prefix}-${statementNames.size}`));
  return { name, text };
}
