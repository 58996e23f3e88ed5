import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { z } from 'zod';
import {
  FLUX_ERRORS,
  type FluxErrorCode,
  FLUX_REQUEST_ERRORS,
  OTHER_FLUX_ERROR,
  FLUX_CODE_BY_TASK_ERROR,
} from '../../../src/core/flux-api/flux-errors.js';
import { fluxClientFor, type FluxClient } from '../../support/flux-api/flux-servers.js';
import { TestApp } from '../../support/app/test-app.js';

interface Operation {
  responses: Record<string, Response>;
  requestBody: Content & { required: boolean };
  callbacks?: { result: Record<string, { post: Operation & { parameters: { name: string }[] } }> };
}
interface Content {
  content: { 'application/json': { schema: Schema; examples?: Record<string, { value: unknown }> } };
}
type Response = Content & { description: string };
type Schema = Record<string, unknown>;
interface Document {
  openapi: string;
  paths: Record<string, { post: Operation }>;
  components: { schemas: Record<string, Schema> };
}

const CALLBACK_URL = '{$request.body#/callback_url}';
const generateBody = (prompt: string) => ({ action: 'generate', prompt, size: '256x256' });

let app: TestApp;
let client: FluxClient;
let document: Document;
let images: Operation;
let tasks: Operation;
beforeAll(async () => {
  app = await TestApp.start();
  client = fluxClientFor(app);
  document = (await app.get('/openapi.json')).json as Document;
  images = operationAt('/flux/images');
  tasks = operationAt('/flux/tasks');
});
afterAll(() => app.stop());

function operationAt(path: string): Operation {
  const found = document.paths[path]?.post;
  if (!found) throw new Error(`The document has no path ${path}.`);
  return found;
}

/** Expects the value to match the documented schema, without undocumented fields. */
function expectToMatchSchema(value: unknown, { content }: Content): void {
  const { schema } = content['application/json'];
  const local = JSON.stringify({ ...schema, $defs: document.components.schemas });
  const strictSchema = closeObjects(JSON.parse(local.replaceAll('#/components/schemas/', '#/$defs/')));
  const { success, error } = z.fromJSONSchema(strictSchema as z.core.JSONSchema.JSONSchema).safeParse(value);
  expect({ value, success, error: error?.message }).toEqual({ value, success: true, error: undefined });
}

/** Forbids additional properties in every object of the schema. */
function closeObjects(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closeObjects);
  if (typeof schema !== 'object' || schema === null) return schema;
  const closed = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closeObjects(value)]));
  return 'properties' in closed ? { ...closed, additionalProperties: false } : closed;
}

function responseOf({ responses }: Operation, status: number): Response {
  const found = responses[String(status)];
  if (!found) throw new Error(`The operation has no response ${status}.`);
  return found;
}

describe('/openapi.json', () => {
  test('the document is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate({ ...structuredClone(document) });
    expect({ valid, errors, version: validator.version }).toEqual({ valid: true, version: '3.1' });
  });

  test('every reference resolves to a component', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)];
    const components = document.components as unknown as Record<string, object>;
    for (const [, kind = '', name = ''] of references)
      expect(Object.keys(components[kind] ?? {})).toContain(name);
  });

  test('both operations document every error code under its status', () => {
    const codesAt = (operation: Operation) =>
      Object.entries(operation.responses)
        .filter(([status]) => status !== '200')
        .flatMap(([status, { content }]) =>
          Object.keys(content['application/json'].examples ?? {}).map((code) => `${status} ${code}`),
        )
        .sort();
    const rows = [...Object.values(FLUX_REQUEST_ERRORS), OTHER_FLUX_ERROR];
    const ofTasks = Object.values(FLUX_CODE_BY_TASK_ERROR).map((code: FluxErrorCode) => ({
      code,
      status: FLUX_ERRORS[code].status,
    }));
    const expected = [...rows, ...ofTasks].map(({ code, status }) => `${status} ${code}`);
    expect(codesAt(images)).toEqual([...new Set(expected)].sort());
    expect(codesAt(tasks)).toEqual([
      '400 api_not_implemented',
      '400 bad_request',
      '401 invalid_token',
      '403 forbidden',
      '404 no_api',
      '413 bad_request',
      '429 too_many_requests',
      '500 api_error',
      '503 api_error',
    ]);
  });

  test('the examples match their schemas, and the service accepts the example request', async () => {
    const examples = Object.entries(images.requestBody.content['application/json'].examples ?? {});
    expect(examples.map(([name]) => name)).toEqual(['generate', 'edit', 'callback']);
    for (const [, { value }] of examples) expectToMatchSchema(value, images.requestBody);
    const [, { value: generate } = { value: {} }] = examples[0] ?? [];
    expect((await client.images(generate as object)).status).toBe(200);
    for (const response of [...Object.values(images.responses), ...Object.values(tasks.responses)]) {
      const { examples: errors = {} } = response.content['application/json'];
      for (const { value } of Object.values(errors)) expectToMatchSchema(value, response);
    }
  });

  test('the documented callback matches the payload and has the headers of Standard Webhooks', async () => {
    const { parameters, requestBody } = images.callbacks?.result[CALLBACK_URL]?.post ?? {};
    const headers = parameters?.map(({ name }) => name);
    expect(headers).toEqual(['webhook-id', 'webhook-timestamp', 'webhook-signature']);
    for (const prompt of ['a cat', 'a cat [sandbox: fail=forbidden]']) {
      const { body } = await client.images({ ...generateBody(prompt), async: true });
      const { response } = await client.waitUntilFinished(body.task_id);
      expectToMatchSchema(response, requestBody as Content);
    }
  });
});

describe('responses match /openapi.json', () => {
  const CASES: [what: string, status: number, body: object][] = [
    ['images', 200, { ...generateBody('fits'), count: 2 }],
    ['an accepted task', 200, { ...generateBody('fits'), async: true }],
    ['an unknown action', 400, { action: 'paint' }],
    ['a bad request', 400, { ...generateBody('fits'), count: 9 }],
    ['a body that is too large', 413, { padding: 'x'.repeat(1024 * 1024) }],
    ['a failed task', 500, generateBody('fits [sandbox: fail=api_error]')],
    ['a moderated prompt', 403, generateBody('fits [sandbox: fail=forbidden]')],
    ['too many requests', 429, generateBody('fits [sandbox: fail=too_many_requests]')],
  ];
  test.each(CASES)('/flux/images responds to %s as documented', async (_what, status, body) => {
    const response = await client.images(body);
    expect(response.status).toBe(status);
    expectToMatchSchema(response.body, responseOf(images, status));
  });

  test('/flux/images responds to a timeout as documented', async () => {
    const impatientApp = await TestApp.start({ tuning: { fluxHoldTimeoutMs: 300 } });
    const { status, body } = await fluxClientFor(impatientApp).images(
      generateBody('fits [sandbox: delay=600s]'),
    );
    expect(status).toBe(504);
    expectToMatchSchema(body, responseOf(images, status));
    await impatientApp.stop();
  });

  test('/flux/images responds to an unknown key as documented', async () => {
    const { status, body } = await fluxClientFor(app, 'dk_wrong').images({});
    expectToMatchSchema(body, responseOf(images, status));
  });

  test('/flux/tasks responds as documented for running, finished, failed, unknown, several and invalid tasks', async () => {
    const prompts = ['slow [sandbox: delay=600s]', 'done', 'failed [sandbox: fail=forbidden]'];
    const accepted = await Promise.all(
      prompts.map((prompt) => client.images({ ...generateBody(prompt), async: true })),
    );
    const ids = accepted.map(({ body }) => body.task_id);
    await Promise.all(ids.slice(1).map((id) => client.waitUntilFinished(id)));
    const bodies = [
      ...ids.map((id) => ({ action: 'retrieve', id })),
      { action: 'retrieve', id: 'unknown' },
      { action: 'retrieve_batch', ids },
      { action: 'retrieve_batch', ids: 7 },
      { action: 'read' },
    ];
    for (const body of bodies) {
      const response = await client.tasks(body);
      expectToMatchSchema(response.body, responseOf(tasks, response.status));
    }
  });

  test('a response that deviates from the document fails the check', () => {
    const accepted = { success: true, task_id: crypto.randomUUID(), trace_id: 'x' };
    expectToMatchSchema(accepted, responseOf(images, 200));
    for (const wrong of [{ ...accepted, more: 1 }, { ...accepted, task_id: 7 }, { success: true }]) {
      expect(() => expectToMatchSchema(wrong, responseOf(images, 200))).toThrow();
    }
  });
});

describe('/openapi', () => {
  test('every file of the page is served by this service', async () => {
    const page = await app.get('/openapi');
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const links = [...page.bytes.toString().matchAll(/ (?:src|href)="([^"]*)"/g)].map(
      ([, link = '']) => link,
    );
    expect(links).toHaveLength(4);
    for (const link of links) {
      const { origin, pathname } = new URL(link, `${app.url}/openapi`);
      const { status, headers } = await app.get(pathname);
      expect([link, origin, status]).toEqual([link, app.url, 200]);
      expect(headers['content-type']).toMatch(/^(text\/css|text\/javascript|image\/png)/);
    }
  });

  test('the content security policy allows no other origin, and the style sheet loads none', async () => {
    const { headers } = await app.get('/openapi');
    const policy = headers['content-security-policy'] ?? '';
    const sources = policy.split(';').flatMap((directive) => directive.trim().split(' ').slice(1));
    expect([...new Set(sources)].sort()).toEqual(["'none'", "'self'", "'unsafe-inline'", 'data:']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    const css = (await app.get('/openapi/swagger-ui.css')).bytes.toString();
    expect(css).not.toMatch(/@import|url\((?!["']?data:)/);
  });

  test('the page shows /openapi.json', async () => {
    const [, url = ''] = /url: '([^']+)'/.exec((await app.get('/openapi/start.js')).bytes.toString()) ?? [];
    expect(new URL(url, `${app.url}/openapi`).pathname).toBe('/openapi.json');
  });

  test('a trailing slash redirects to the page', async () => {
    const { status, headers } = await app.get('/openapi/');
    expect([status, new URL(headers.location ?? '', `${app.url}/openapi/`).href]).toEqual([
      308,
      `${app.url}/openapi`,
    ]);
  });

  test.each(['/openapi/package.json', '/openapi/../package.json', '/openapi/index.html'])(
    '%s is not served',
    async (path) => {
      expect((await app.get(path)).status).toBe(404);
    },
  );
});
