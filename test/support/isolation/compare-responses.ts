import { namesInText } from './database-rows.js';

/** What was answered, and what the service did for it. */
export interface Answered {
  status: number;
  headers: Record<string, string>;
  text: string;
  statements: string[];
}

/** About the moment and the asker, not about what was asked for. */
const HEADERS_OF_THE_MOMENT =
  /^(date|x-request-id|etag|content-length|x-ratelimit.*|ratelimit.*|retry-after|connection|keep-alive)$/;

/** No answer about something that is absent takes more. */
const FEW = 6;

/** What differs between two answers that say the same: what is made anew gets new ids, secrets, times and places. */
const MADE_ANEW: [RegExp, string][] = [
  // First: in random letters there can be anything.
  [/\?t=[\w.-]+/g, '?t=<signature>'],
  [/"(cursor|startCursor|endCursor|logCursor)":"(<sent>|[\w-]+)"/g, '"$1":"<cursor>"'],
  [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, '<id>'],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>'],
  [/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, '<token>'],
  [/\bdk_\w+/g, '<key>'],
  [/whsec_[\w+/=]+/g, '<secret>'],
  [/"lastFour":"\w+"/g, '"lastFour":"<four>"'],
  [/"(queuePosition|remaining)":\d+/g, '"$1":0'],
  [/"(created_at|started_at|finished_at|elapsed)":[\d.]+/g, '"$1":0'],
];

/**
 * The answer without what was sent and what is made anew: equal for what is equally absent. With it the statements, which run
 * side by side and so in any order; of an answer that shows one's own things, how many go together is a matter of moments.
 */
export function comparable({ status, headers, text, statements }: Answered, sent: readonly string[]): object {
  const steady = Object.entries(headers).filter(([name]) => !HEADERS_OF_THE_MOMENT.test(name));
  const counted = statements.length > FEW ? [...new Set(statements)] : statements;
  return {
    status,
    headers: Object.fromEntries(steady),
    text: normalised(text, sent),
    statements: counted.sort(),
  };
}

function normalised(text: string, sent: readonly string[]): string {
  return MADE_ANEW.reduce((rest, [form, instead]) => rest.replace(form, instead), withoutSent(text, sent));
}

function withoutSent(text: string, sent: readonly string[]): string {
  return sent.reduce((rest, value) => rest.replaceAll(new RegExp(escaped(value), 'gi'), '<sent>'), text);
}

function escaped(value: string): string {
  return value.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

/** Foreign ids and words in an answer, but for what was sent. Cursors in base64 are looked into. */
export function leaksIn(text: string, sent: readonly string[], foreign: ReadonlySet<string>): string[] {
  const encoded = [...text.matchAll(/"([\w-]{24,})"/g)].map(([, part = '']) =>
    Buffer.from(part, 'base64url').toString(),
  );
  const shown = [text, ...encoded].join('\n');
  return [...new Set(namesInText(withoutSent(shown, sent)).filter((name) => foreign.has(name)))];
}
