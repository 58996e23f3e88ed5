import { type Request } from 'express';
import { parseCallerJson } from '../../core/primitives/encoding/caller-json.js';
import {
  type QueryParameters,
  requireKnownParameters,
  singleParameter,
} from '../../core/primitives/encoding/query-string.js';
import { BadRequest } from '../../core/errors.js';
import { takeBody } from '../server/request-bodies.js';
import { EVENT_TYPES, type EventType } from '../../core/events/task-event.js';

/** An operation of a request to `/graphql/stream`. */
export interface StreamOperation {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
}

/**
 * What an EventSource that cannot set headers appends to its URL when it reconnects, without its hyphens, underscores and
 * capitals: `lastEventId` (event-source-polyfill, whose users also choose `Last-Event-ID`), `lastEventID` (Mercure),
 * `last_event_id`, and `evs_last_event_id` (eventsource-polyfill).
 */
const LAST_EVENT_ID_NAMES: readonly string[] = ['lasteventid', 'evslasteventid'];
/** Requests a comment at the beginning of the stream for old browsers, and has no effect here (eventsource-polyfill). */
const IGNORED_PARAMETERS = ['evs_preamble'];
const COMMON_PARAMETERS = ['after', 'lastEventId', 'access_token'];
const OPERATION_PARAMETERS = ['query', 'operationName', 'variables', 'extensions', 'access_token'];

/** Reads the header, or the parameter of RFC 6750, 2.3, because an EventSource cannot set headers. */
export function credentialOf({ headers, query }: Request): string | undefined {
  const token = typeof query.access_token === 'string' ? `Bearer ${query.access_token}` : undefined;
  return headers.authorization ?? token;
}

/** What a request to `/events` or `/tasks/:id/events` asks for. */
export interface StreamParameters {
  /** The cursor of the last event that the client has seen. Null to start from now. */
  cursor: string | null;
  types: EventType[];
  taskIds: string[];
}

/**
 * Reads the query string and `Last-Event-ID`, and refuses parameters that would have no effect: a client that resumes with a
 * parameter that is ignored loses events. `filters` are the parameters that the route takes beside the common ones. Throws
 * BadRequest.
 */
export function parseStreamParameters(request: Request, filters: readonly string[]): StreamParameters {
  const parameters = request.query as QueryParameters;
  const lastEventIdNames = Object.keys(parameters).filter((name) => isLastEventId(name));
  requireKnownParameters(withoutNames(parameters, [...lastEventIdNames, ...IGNORED_PARAMETERS]), [
    ...COMMON_PARAMETERS,
    ...filters,
  ]);
  return {
    cursor: resumeCursorOf(request, lastEventIdNames),
    types: parseEventTypes(parameters.types),
    taskIds: parseList(parameters.taskIds),
  };
}

/**
 * A client that reconnects sends the ID of the last event, as a header or as a parameter. It is newer than `after`, which is
 * part of the URL that the client was given.
 */
function resumeCursorOf(request: Request, lastEventIdNames: readonly string[]): string | null {
  const parameters = request.query as QueryParameters;
  const [name = 'lastEventId', otherName] = lastEventIdNames;
  if (otherName !== undefined)
    throw new BadRequest(`The parameters \`${name}\` and \`${otherName}\` mean the same. Send one of them.`);
  const header = request.headers['last-event-id'];
  const lastEventId = singleParameter(parameters, name);
  const after = singleParameter(parameters, 'after');
  return (typeof header === 'string' && header) || lastEventId || after || null;
}

function isLastEventId(name: string): boolean {
  return LAST_EVENT_ID_NAMES.includes(name.replace(/[-_]/g, '').toLowerCase());
}

function withoutNames(parameters: QueryParameters, names: readonly string[]): QueryParameters {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => !names.includes(name)));
}

function parseList(value: string | string[] | undefined): string[] {
  return [value ?? []]
    .flat()
    .flatMap((text) => text.split(','))
    .filter((text) => text !== '');
}

function parseEventTypes(value: string | string[] | undefined): EventType[] {
  return parseList(value).map((text) => {
    const type = EVENT_TYPES.find((known) => known === text);
    if (!type)
      throw new BadRequest(
        `Unknown event type "${text.slice(0, 50)}". Use any of: ${EVENT_TYPES.join(', ')}.`,
      );
    return type;
  });
}

/** Parses the operation of a GET request. Throws BadRequest. */
export function operationInQuery({ query }: Request): StreamOperation {
  const parameters = query as QueryParameters;
  requireKnownParameters(parameters, OPERATION_PARAMETERS);
  const [document, operationName, variables] = ['query', 'operationName', 'variables'].map((name) =>
    singleParameter(parameters, name),
  );
  return parseOperation({ query: document, operationName, variables });
}

/** Parses the operation in the body of a POST request. Throws BadRequest. */
export function operationInBody(request: Request): StreamOperation {
  requireKnownParameters(request.query as QueryParameters, ['access_token']);
  return parseOperation(Object(takeBody(request)) as Record<string, unknown>);
}

function parseOperation({ query, operationName, variables }: Record<string, unknown>): StreamOperation {
  if (typeof query !== 'string' || query === '')
    throw new BadRequest('`query` is missing. Send the GraphQL document as `query`.');
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string')
    throw new BadRequest('`operationName` is not a string. Correct it, or leave it out.');
  return { query, operationName: operationName ?? null, variables: parseVariables(variables) };
}

/** The variables are an object in a body, and JSON text in a query string. */
function parseVariables(value: unknown): Record<string, unknown> | null {
  if (value === undefined || value === null || value === '') return null;
  const parsed = typeof value === 'string' ? parseCallerJson(value, 'The text of `variables`') : value;
  if (typeof parsed === 'object' && !Array.isArray(parsed)) return parsed as Record<string, unknown> | null;
  throw new BadRequest('`variables` is not a JSON object. Send an object, or leave it out.');
}
