import { z } from 'zod';
import { API_ERRORS, type ApiErrorCode } from '../../core/flux-api/flux-error.js';
import { FLUX_FAILURES } from '../../services/flux-api/flux-reply.js';
import { FLUX_CODES, fluxErrorOf } from './flux-error-reply.js';
import {
  acceptedReply,
  errorReply,
  failedReply,
  imagesBody,
  resultReply,
  taskReply,
  tasksBody,
  tasksReply,
  unknownTaskReply,
} from './flux-schemas.js';

/** The door in OpenAPI 3.1, made of the very schemas that its requests are checked against. */

/** What only a request for pictures can end with. */
const IMAGES_ALONE: readonly string[] = [
  'INPUT_REJECTED',
  'TOO_MANY_WATCHERS',
  'WAIT_ENDED',
  'WRITE_UNCONFIRMED',
];
const EXAMPLES = {
  generate: { action: 'generate', prompt: 'a white siamese cat', model: 'flux-kontext-pro', count: 2 },
  edit: {
    action: 'edits',
    prompt: 'a white siamese cat',
    model: 'flux-kontext-pro',
    image_url: 'https://cdn.acedata.cloud/ytj2qy.png',
  },
  callback: {
    action: 'generate',
    prompt: 'a white siamese cat',
    callback_url: 'https://app.example.com/flux',
  },
};
const CALLBACK_HEADERS = [
  ['webhook-id', 'The same in every attempt: who has seen it has seen this callback.'],
  ['webhook-timestamp', 'Unix seconds of the attempt. Refuse what is older than five minutes.'],
  [
    'webhook-signature',
    'HMAC-SHA-256 as Standard Webhooks has it: `v1,` and base64; several with spaces between.',
  ],
] as const;

const json = (schema: object, examples?: object) => ({
  'application/json': { schema, ...(examples && { examples }) },
});
const ref = (schema: z.ZodType) => ({ $ref: `#/components/schemas/${z.globalRegistry.get(schema)?.id}` });
const anyOf = (...schemas: z.ZodType[]) => ({ anyOf: schemas.map(ref) });
const traceHeader = { 'x-request-id': { $ref: '#/components/headers/RequestId' } };

export function openapiDocument(): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Darkroom: the Flux API door',
      version: '1.0.0',
      description:
        'The Flux Images API, answered by Darkroom: what is taken is not lost, and nothing is paid for twice. Send `Idempotency-Key`, and a request can be sent again.',
    },
    servers: [{ url: '.' }],
    security: [{ key: [] }],
    paths: { '/flux/images': { post: imagesOperation() }, '/flux/tasks': { post: tasksOperation() } },
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'An API key of Darkroom: `dk_…`' },
      },
      headers: { RequestId: { description: 'The `trace_id` of the answer.', schema: { type: 'string' } } },
      schemas: schemas(),
    },
  };
}

function imagesOperation(): object {
  return {
    operationId: 'makeImages',
    summary: 'Pictures from words, or of a picture.',
    description:
      'Needs the scope `tasks:write`. With neither `callback_url` nor `async` the answer is the result: the request is held for up to 5 minutes.',
    parameters: [
      {
        name: 'Idempotency-Key',
        in: 'header',
        description: 'The same key with the same body is the same task, also while it is waited for.',
        schema: { type: 'string', minLength: 1, maxLength: 255 },
      },
    ],
    requestBody: { required: true, content: json(ref(imagesBody), valuesOf(EXAMPLES)) },
    responses: {
      200: {
        description: 'The result; or the task, with `callback_url` or `async`.',
        headers: traceHeader,
        content: json(anyOf(resultReply, acceptedReply)),
      },
      ...errors([...Object.keys(FLUX_CODES), 'API_ERROR'], Object.values(FLUX_FAILURES)),
    },
    callbacks: { result: { '{$request.body#/callback_url}': { post: callbackOperation() } } },
  };
}

function callbackOperation(): object {
  return {
    operationId: 'receiveResult',
    summary: 'How the task ended.',
    description:
      'Signed as https://www.standardwebhooks.com says. Any answer but 2xx has it sent again later.',
    security: [],
    parameters: CALLBACK_HEADERS.map(([name, description]) => ({
      ...{ name, in: 'header', required: true, description },
      schema: { type: 'string' },
    })),
    requestBody: { required: true, content: json(anyOf(resultReply, failedReply)) },
    responses: { '2XX': { description: 'It was taken.' } },
  };
}

function tasksOperation(): object {
  const codes = Object.keys(FLUX_CODES).filter((code) => !IMAGES_ALONE.includes(code));
  return {
    operationId: 'readTasks',
    summary: 'One task, or several.',
    description: 'Needs the scope `tasks:read`. Tasks that were asked for over GraphQL are shown too.',
    requestBody: { required: true, content: json(ref(tasksBody)) },
    responses: {
      200: {
        description: 'The task, `{}` for an unknown one, or the list of those that there are.',
        headers: traceHeader,
        content: json(anyOf(taskReply, tasksReply, unknownTaskReply)),
      },
      ...errors([...codes, 'API_ERROR'], []),
    },
  };
}

/** One response for each status, with an example for each code: of a request by our own code, of a task by the API's. */
function errors(ours: readonly string[], ofTasks: readonly ApiErrorCode[]): Record<string, object> {
  const found = [
    ...ours.map(fluxErrorOf),
    ...ofTasks.map((code) => ({ code, status: API_ERRORS[code].status })),
  ];
  const codes = new Map<number, Set<ApiErrorCode>>();
  for (const { code, status } of found) codes.set(status, (codes.get(status) ?? new Set()).add(code));
  return Object.fromEntries(
    [...codes].map(([status, set]) => {
      const examples = [...set].map((code) => {
        const { message } = API_ERRORS[code];
        return [code, { success: false, error: { code, message }, trace_id: '…' }] as const;
      });
      const description = [...set].map((code) => `\`${code}\``).join(', ');
      const content = json(ref(errorReply), valuesOf(Object.fromEntries(examples)));
      return [status, { description, headers: traceHeader, content }];
    }),
  );
}

function valuesOf(examples: Record<string, object>): object {
  return Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }]));
}

function schemas(): object {
  const uri = (id: string) => `#/components/schemas/${id}`;
  const { schemas: found } = z.toJSONSchema(z.globalRegistry, { uri, io: 'input' });
  return Object.fromEntries(
    Object.entries(found).map(([id, { $id: _id, $schema: _dialect, ...schema }]) => [id, schema]),
  );
}
