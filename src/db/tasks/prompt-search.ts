import { termsOf } from '../../core/tasks/prompt-words.js';
import { type Condition, parseSearch } from '../../core/tasks/search-query.js';

/**
 * Precedes each term in the index, so that a word and the same word of another workspace have nothing in common: the 62 random
 * bits of the workspace's ID, as 11 characters. If two workspaces shared them, the time of a search could depend on both.
 */
function prefixOf(workspaceId: string): string {
  return Buffer.from(workspaceId.replaceAll('-', '').slice(16), 'hex').toString('base64url');
}

/** The terms of a prompt as the text of a `tsvector`. Terms contain only letters, digits, marks and symbols, so none is escaped. */
export function promptVector(workspaceId: string, prompt: string): string {
  const prefix = prefixOf(workspaceId);
  let vector = '';
  let position = 0;
  for (const { text } of termsOf(prompt)) vector += `'${prefix}${text}':${(position += 1)} `;
  return vector;
}

/** A search as the text of a `tsquery`. */
export interface PromptQuery {
  text: string;
  /** Whether it names a word that prompts must contain. Otherwise the index does not help. */
  isSelective: boolean;
}

/** The query for a search in one workspace, or null if the search contains no word, so that it finds nothing. */
export function promptQuery(workspaceId: string, search: string): PromptQuery | null {
  const alternatives = parseSearch(search);
  if (alternatives.length === 0) return null;
  const prefix = prefixOf(workspaceId);
  const conditionText = ({ terms, isExcluded }: Condition): string => {
    const lexemes = terms.map(({ text, isPrefix }) => `'${prefix}${text}'${isPrefix ? ':*' : ''}`);
    return `${isExcluded ? '!' : ''}(${lexemes.join(' <-> ')})`;
  };
  return {
    // Each condition once. PostgreSQL would read the index again for a repeated word.
    text: unique(alternatives.map((conditions) => unique(conditions.map(conditionText)).join(' & '))).join(
      ' | ',
    ),
    isSelective: alternatives.every((conditions) => conditions.some(({ isExcluded }) => !isExcluded)),
  };
}

const unique = (texts: string[]) => [...new Set(texts)];
