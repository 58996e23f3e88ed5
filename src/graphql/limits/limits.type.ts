import { Int } from 'type-graphql';
import { type Limits } from '../../core/limits/limits.js';
import { createInputType, createObjectType, nullable } from '../server/schema-types.js';

const LIMIT_FIELDS = {
  requestsPerMinute: nullable(
    Int,
    'Maximum number of requests per minute. Each GraphQL operation counts as a request, and so does each request to the Flux API, an event stream or `/usage.csv`.',
  ),
  generationsPerMinute: nullable(Int, 'Maximum number of new tasks per minute.'),
  generationsInFlight: nullable(
    Int,
    'Maximum number of tasks in flight at the same time. A task is in flight from its creation until it is final.',
  ),
  connections: nullable(
    Int,
    'Maximum number of connections open at the same time: WebSockets, event streams, and held requests to the Flux API, which are kept open until the result.',
  ),
};

export const LimitsType = createObjectType<Limits>(
  'Limits',
  'Usage limits of an API key. A field is null if the key has no limit of its own. The limits that the operator has set then apply.',
  LIMIT_FIELDS,
);

export const LimitsInput = createInputType<Limits>(
  'LimitsInput',
  'Usage limits of an API key or client token, each from 1 to 1000000. An omitted field sets no limit of its own.',
  LIMIT_FIELDS,
);
