import { z } from 'zod';
import {
  FLUX_CODE_BY_TASK_ERROR,
  FLUX_ERRORS,
  FLUX_REQUEST_ERRORS,
  type FluxErrorCode,
  OTHER_FLUX_ERROR,
} from '../../core/flux-api/flux-errors.js';
import {
  acceptedReply,
  errorReply,
  failedReply,
  resultReply,
  taskReply,
  tasksReply,
  unknownTaskReply,
} from '../../services/flux-api/flux-reply-schemas.js';
import { imagesBody, tasksBody } from './flux-schemas.js';

/** Our error codes that only `/flux/images` returns. */
const IMAGES_ONLY_CODES: readonly string[] = [
  'INPUT_REJECTED',
  'TOO_MANY_CONNECTIONS',
  'RESULT_NOT_READY',
  'WRITE_UNCONFIRMED',
];
const EXAMPLES = {
  generate: { action: 'generate', prompt: 'a white siamese cat', model: 'flux-kontext-pro', count: 2 },
  edit: {
    action: 'edit',
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
const WEBHOOK_HEADERS = [
  ['webhook-id', 'ID of the webhook delivery. The same in every attempt, so use it to recognize duplicates.'],
  [
    'webhook-timestamp',
    'Unix time of the attempt in seconds. Reject a webhook that is older than five minutes.',
  ],
  [
    'webhook-signature',
    'HMAC-SHA-256 signature as defined by Standard Webhooks: `v1,` and base64. Several signatures are separated by spaces.',
  ],
] as const;

const jsonContent = (schema: object, examples?: object) => ({
  'application/json': { schema, ...(examples && { examples }) },
});
const schemaRef = (schema: z.ZodType) => ({
  $ref: `#/components/schemas/${z.globalRegistry.get(schema)?.id}`,
});
const anyOf = (...schemas: z.ZodType[]) => ({ anyOf: schemas.map(schemaRef) });
const traceHeader = { 'x-request-id': { $ref: '#/components/headers/RequestId' } };

/** The Flux API in OpenAPI 3.1, generated from the schemas that validate its requests. */
export function openapiDocument(): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Darkroom Flux API',
      version: '1.0.0',
      description:
        'The Flux Images API, served by Darkroom. No accepted task is lost, and nothing is paid for twice. With an `Idempotency-Key`, a request can safely be sent again.',
    },
    servers: [{ url: '.' }],
    security: [{ apiKey: [] }],
    paths: { '/flux/images': { post: imagesOperation() }, '/flux/tasks': { post: tasksOperation() } },
    components: {
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'A Darkroom API key, `dk_…`.' },
      },
      headers: { RequestId: { description: 'The `trace_id` of the response.', schema: { type: 'string' } } },
      schemas: componentSchemas(),
    },
  };
}

function imagesOperation(): object {
  return {
    operationId: 'makeImages',
    summary: 'Generate or edit images',
    description:
      'Requires the scope `tasks:write`. Without `callback_url` and `async`, the response is the result, and the request is held for up to 5 minutes.',
    parameters: [
      {
        name: 'Idempotency-Key',
        in: 'header',
        description: 'Requests with the same key and the same body share one task, even while it is running.',
        schema: { type: 'string', minLength: 1, maxLength: 255 },
      },
    ],
    requestBody: { required: true, content: jsonContent(schemaRef(imagesBody), toExamples(EXAMPLES)) },
    responses: {
      200: {
        description: 'The result. With `callback_url` or `async`, the accepted task.',
        headers: traceHeader,
        content: jsonContent(anyOf(resultReply, acceptedReply)),
      },
      ...errorResponses(Object.keys(FLUX_REQUEST_ERRORS), Object.values(FLUX_CODE_BY_TASK_ERROR)),
    },
    callbacks: { result: { '{$request.body#/callback_url}': { post: webhookOperation() } } },
  };
}

function webhookOperation(): object {
  return {
    operationId: 'receiveResult',
    summary: 'Receive the result of a task',
    description:
      'Signed as defined by https://www.standardwebhooks.com. After any response other than 2xx or 410, Darkroom sends it again later, up to eight attempts in all.',
    security: [],
    parameters: WEBHOOK_HEADERS.map(([name, description]) => ({
      ...{ name, in: 'header', required: true, description },
      schema: { type: 'string' },
    })),
    requestBody: { required: true, content: jsonContent(anyOf(resultReply, failedReply)) },
    responses: { '2XX': { description: 'The result was received.' } },
  };
}

function tasksOperation(): object {
  const codes = Object.keys(FLUX_REQUEST_ERRORS).filter((code) => !IMAGES_ONLY_CODES.includes(code));
  return {
    operationId: 'readTasks',
    summary: 'Read one or several tasks',
    description:
      'Requires the scope `tasks:read`. Tasks that were created over GraphQL are included. Without `action`, one task is read.',
    requestBody: { required: true, content: jsonContent(schemaRef(tasksBody)) },
    responses: {
      200: {
        description:
          'The task, or `{}` when it is unknown. With `retrieve_batch`, the list of visible tasks.',
        headers: traceHeader,
        content: jsonContent(anyOf(taskReply, tasksReply, unknownTaskReply)),
      },
      ...errorResponses(codes, []),
    },
  };
}

/** One response per status, with an example for each of its codes. */
function errorResponses(
  appErrorCodes: readonly string[],
  taskErrorCodes: readonly FluxErrorCode[],
): Record<string, object> {
  const fluxErrors = [
    ...appErrorCodes.map((code) => FLUX_REQUEST_ERRORS[code] ?? OTHER_FLUX_ERROR),
    OTHER_FLUX_ERROR,
    ...taskErrorCodes.map((code) => ({ code, status: FLUX_ERRORS[code].status })),
  ];
  const codesByStatus = new Map<number, Set<FluxErrorCode>>();
  for (const { code, status } of fluxErrors) {
    codesByStatus.set(status, (codesByStatus.get(status) ?? new Set()).add(code));
  }
  return Object.fromEntries(
    [...codesByStatus].map(([status, codes]) => {
      const examples = [...codes].map((code) => {
        const { message } = FLUX_ERRORS[code];
        return [code, { success: false, error: { code, message }, trace_id: '…' }] as const;
      });
      const description = [...codes].map((code) => `\`${code}\``).join(', ');
      const content = jsonContent(schemaRef(errorReply), toExamples(Object.fromEntries(examples)));
      return [status, { description, headers: traceHeader, content }];
    }),
  );
}

function toExamples(examples: Record<string, object>): object {
  return Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }]));
}

function componentSchemas(): object {
  const uri = (id: string) => `#/components/schemas/${id}`;
  const { schemas: generated } = z.toJSONSchema(z.globalRegistry, { uri, io: 'input' });
  return Object.fromEntries(
    Object.entries(generated).map(([id, { $id: _id, $schema: _dialect, ...schema }]) => [id, schema]),
  );
}
