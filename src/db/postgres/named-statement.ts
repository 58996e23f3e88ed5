import { type Statement } from './database.js';

/** For statements that are put together, in few shapes: each shape is prepared once per connection under its own name. */
const names = new Map<string, string>();

export function named(what: string, text: string): Statement {
  let name = names.get(text);
  if (!name) names.set(text, (name = `${what}-${names.size}`));
  return { name, text };
}
