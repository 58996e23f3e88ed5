import { withoutInvisible } from './fold-text.js';
import { termsOf } from './prompt-words.js';

/** What a prompt must contain, or must not: terms at consecutive positions. */
export interface Condition {
  terms: readonly { text: string; isPrefix: boolean }[];
  isExcluded: boolean;
}

/** A prompt is found if it meets all conditions of one of these lists. Without a list, nothing is found. */
export type SearchQuery = readonly (readonly Condition[])[];

/** A phrase in quotes, or a word, each with a hyphen in front to exclude it. A word can contain quotes, like the Hebrew צה"ל. */
const PARTS = /(-(?!-))?"([^"]*)"|(-(?!-))?([^\s"]+(?:"[^\s"]+)*)/g;
const QUOTES = /[“”„‟«»]/g;

/**
 * Reads a search as web searches do: all words, "phrases", `or` between alternatives, `-excluded`. A word also finds the longer
 * words that it begins. Words in quotes and excluded words are whole, as far as their script shows where words end. Any text is
 * a search: what contains no word is left out.
 */
export function parseSearch(search: string): SearchQuery {
  // Full-width quotes and hyphens are what keyboards for Chinese and Japanese produce.
  const syntax = withoutInvisible(search).normalize('NFKC').replace(QUOTES, '"');
  const parts = [...syntax.matchAll(PARTS)];
  const alternatives: Condition[][] = [[]];
  parts.forEach(([part, minusOfPhrase, phrase, minusOfWord, word], index) => {
    // At either end there is nothing to choose from, so it is a word.
    if (part.toLowerCase() === 'or' && index > 0 && index < parts.length - 1) {
      alternatives.push([]);
      return;
    }
    const isExcluded = minusOfPhrase === '-' || minusOfWord === '-';
    const terms = searchTermsOf(phrase ?? word ?? '', { isWhole: phrase !== undefined || isExcluded });
    if (terms.length > 0) alternatives.at(-1)?.push({ terms, isExcluded });
  });
  return alternatives.filter((conditions) => conditions.length > 0);
}

/** The terms that a prompt with this text in it has, at consecutive positions. */
function searchTermsOf(text: string, { isWhole }: { isWhole: boolean }): Condition['terms'] {
  const terms = termsOf(text);
  // In the prompt the run can go on, so that its last character is half of another pair. The pair before contains it.
  if (terms.at(-1)?.kind === 'LAST' && terms.at(-2)?.kind === 'PAIR') terms.pop();
  return terms.map(({ text: term, kind }, index) => ({
    text: term,
    isPrefix: index === terms.length - 1 && (kind === 'LAST' || (kind === 'WORD' && !isWhole)),
  }));
}
