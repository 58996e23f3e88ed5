import { describe, expect, test } from '@jest/globals';
import { PAGES, readText } from '../support/docs/markdown.js';

/** Lists the retired words, so it has to use them. */
const EXCEPTION = 'docs/decisions/0015-subjects-and-one-vocabulary.md';
const FILES = [...PAGES, 'schema.graphql', '.env.example'].filter((path) => path !== EXCEPTION);

interface RetiredWord {
  word: RegExp;
  /** The word of docs/GLOSSARY.md to use instead. */
  instead: string;
  files?: readonly string[];
}

const RETIRED_WORDS: readonly RetiredWord[] = [
  { word: /\bwish(es|ed)?\b/, instead: 'request' },
  { word: /\boutlets?\b/, instead: 'event sink' },
  { word: /\bflights\b|(?<!in[- ])\bflight\b/, instead: 'task in flight, in-flight limit' },
  { word: /\b(takes?|taking|took) turns\b|\bturn_head\b|\bnext_turns\b/, instead: 'fair scheduling' },
  { word: /\bdoors?\b/, instead: 'transport, or the name of the API' },
  { word: /\bpictures?\b/, instead: 'image', files: ['schema.graphql'] },
  { word: /\bcallbacks? out\b|\boutgoing callbacks?\b/, instead: 'webhook' },
  { word: /\breceivers?\b/, instead: 'webhook endpoint' },
  { word: /\bwatchers?\b/, instead: 'subscriber' },
  // `nobody` in backticks is an operating system account.
  { word: /(?<!`)\bnobody\b(?!`)/, instead: 'a sentence with its real subject' },
  { word: /\bsomebody\b/, instead: 'a sentence with its real subject' },
];

describe('retired words', () => {
  test.each(RETIRED_WORDS)(
    'the documentation does not contain $word (use: $instead)',
    ({ word, files = FILES }) => {
      expect(files.flatMap((path) => findWord(word, path, readText(path)))).toEqual([]);
    },
  );

  test.each<[string, string[]]>([
    ['A wish came true.\nWishes.', ['x.md:1: wish', 'x.md:2: Wishes']],
    ['The workspaces take\nturns.', ['x.md:1: take turns']],
    ['Limits of flights.', ['x.md:1: flights']],
    ['Nobody saw the Watchers at the door.', ['x.md:1: door', 'x.md:1: Watchers', 'x.md:1: Nobody']],
    ['Tasks in flight have an in-flight limit.', []],
    ['A wishlist, an outdoor image.', []],
  ])('the check reports file and line of each word in %j', (text, expected) => {
    expect(RETIRED_WORDS.flatMap(({ word }) => findWord(word, 'x.md', text))).toEqual(expected);
  });
});

/** Occurrences of a word in any case as `file:line: word`. A phrase may continue on the next line. */
function findWord(word: RegExp, path: string, text: string): string[] {
  const anyCase = new RegExp(word.source.replaceAll(' ', '\\s+'), 'gi');
  return [...text.matchAll(anyCase)].map(({ 0: found, index }) => {
    const line = text.slice(0, index).split('\n').length;
    return `${path}:${line}: ${found.replace(/\s+/g, ' ')}`;
  });
}
