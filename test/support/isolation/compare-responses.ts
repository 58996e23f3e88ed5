import { findIdentifiers } from './database-rows.js';

/** A response, and the statements that the service ran for it. */
export interface RecordedResponse {
  status: number;
  headers: Record<string, string>;
  text: string;
  statements: string[];
}

/** These headers depend on the time and on the caller, not on the identifier that was sent. */
const VOLATILE_HEADERS =
  /^(date|x-request-id|etag|content-length|x-ratelimit.*|ratelimit.*|retry-after|connection|keep-alive)$/;

/** A response about something absent takes no more statements than this. */
const DEDUPLICATE_ABOVE = 6;

/** What differs between two equivalent responses: new IDs, secrets, times and positions. */
const VOLATILE_PATTERNS: [RegExp, string][] = [
  // Signatures come first, because their random letters can look like anything that follows.
  [/\?t=[\w.-]+/g, '?t=<signature>'],
  [/"(cursor|startCursor|endCursor|eventCursor)":"(<sent>|[\w-]+)"/g, '"$1":"<cursor>"'],
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
 * Returns a response without what was sent and without volatile values, so that two responses about absent things are
 * equal. Statements run concurrently, so their order is removed. A response that shows the caller's own data takes many
 * statements, and how many of them a loader batches depends on timing, so only the distinct ones are kept.
 */
export function normalizeResponse(
  { status, headers, text, statements }: RecordedResponse,
  sentTexts: readonly string[],
): object {
  const stableHeaders = Object.entries(headers).filter(([name]) => !VOLATILE_HEADERS.test(name));
  const comparedStatements = statements.length > DEDUPLICATE_ABOVE ? [...new Set(statements)] : statements;
  return {
    status,
    headers: Object.fromEntries(stableHeaders),
    text: normalizeText(text, sentTexts),
    statements: comparedStatements.sort(),
  };
}

function normalizeText(text: string, sentTexts: readonly string[]): string {
  return VOLATILE_PATTERNS.reduce(
    (rest, [pattern, replacement]) => rest.replace(pattern, replacement),
    redactSent(text, sentTexts),
  );
}

function redactSent(text: string, sentTexts: readonly string[]): string {
  return sentTexts.reduce(
    (rest, sent) => rest.replaceAll(new RegExp(escapeRegExp(sent), 'gi'), '<sent>'),
    text,
  );
}

function escapeRegExp(value: string): string {
  return value.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

/** Returns the foreign identifiers in a response, except those that were sent. Decodes cursors in base64. */
export function findLeaks(
  text: string,
  sentTexts: readonly string[],
  foreignIdentifiers: ReadonlySet<string>,
): string[] {
  const decoded = [...text.matchAll(/"([\w-]{24,})"/g)].map(([, part = '']) =>
    Buffer.from(part, 'base64url').toString(),
  );
  const readableText = redactSent([text, ...decoded].join('\n'), sentTexts);
  return [...new Set(findIdentifiers(readableText).filter((each) => foreignIdentifiers.has(each)))];
}
