import { foldText } from './fold-text.js';

/** Scripts without spaces between words. Hangul has spaces, but particles and compounds are joined to words. */
const UNSPACED_SCRIPTS = [
  'Han',
  'Hiragana',
  'Katakana',
  'Bopomofo',
  'Hangul',
  'Thai',
  'Lao',
  'Khmer',
  'Myanmar',
  'Tibetan',
  'Yi',
  'Tai_Le',
  'New_Tai_Lue',
  'Tai_Tham',
]
  .map((script) => `\\p{Script_Extensions=${script}}`)
  .join('');
/** Modifier apostrophes separate words, as ' and ’ do: м'ята, м’ята and мʼята are the same. */
const WORD_CHARACTER = '(?![\\u02b9-\\u02bf])[\\p{L}\\p{M}\\p{N}]';
const SYMBOL = '\\p{So}\\p{Extended_Pictographic}\\p{Regional_Indicator}';
/**
 * A run of characters of unspaced scripts, a run of emoji, or a word. `.{1,100}`: PostgreSQL's limit for a word is 2,046 bytes, so
 * longer ones are cut into parts that follow each other.
 */
const RUNS = new RegExp(
  `((?:(?=[${UNSPACED_SCRIPTS}])${WORD_CHARACTER}|[${SYMBOL}])+)|(?:(?![${UNSPACED_SCRIPTS}${SYMBOL}])${WORD_CHARACTER}){1,100}`,
  'gu',
);

const ASCII = /^[\0-\x7f]*$/;
const ASCII_WORD = /[a-z0-9]{1,100}/g;

/** A unit of the text search. Terms of a text follow each other at consecutive positions. */
export interface Term {
  text: string;
  /** PAIR: two characters of an unspaced script, or emoji. LAST: the last character of a run of these. */
  kind: 'WORD' | 'PAIR' | 'LAST';
}

/**
 * The terms of a text. A word is one term. A run of an unspaced script has no words that a program finds reliably, so its terms are
 * each character with the following one: 白色的猫 has the terms 白色, 色的, 的猫 and 猫. So a text of several characters is
 * found by the pairs in it, and a single character by the beginnings of terms.
 */
export function termsOf(text: string): Term[] {
  const folded = foldText(text);
  if (ASCII.test(folded)) return (folded.match(ASCII_WORD) ?? []).map((text) => ({ text, kind: 'WORD' }));
  const terms: Term[] = [];
  for (const [run, unspacedRun] of folded.matchAll(RUNS)) {
    if (unspacedRun === undefined) {
      terms.push({ text: run, kind: 'WORD' });
      continue;
    }
    const characters = [...run];
    characters.forEach((character, index) => {
      const next = characters[index + 1];
      terms.push(next ? { text: character + next, kind: 'PAIR' } : { text: character, kind: 'LAST' });
    });
  }
  return terms;
}
