import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { z } from 'zod';
import { API_ERRORS, type ApiErrorCode } from '../../../src/core/flux-api/flux-error.js';
import { FLUX_CODES, fluxErrorOf } from '../../../src/http/flux-api/flux-error-reply.js';
import { FLUX_FAILURES } from '../../../src/services/flux-api/flux-reply.js';
import { doorOf, type FluxClient } from '../../support/flux-api/flux-servers.js';
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
const asking = (prompt: string) => ({ action: 'generate', prompt, size: '256x256' });

let app: TestApp;
let door: FluxClient;
let document: Document;
let images: Operation;
let tasks: Operation;
beforeAll(async () => {
  app = await TestApp.start();
  door = doorOf(app);
  document = (await app.get('/openapi.json')).json as Document;
  images = operationAt('/flux/images');
  tasks = operationAt('/flux/tasks');
});
afterAll(() => app.stop());

function operationAt(path: string): Operation {
  const found = document.paths[path]?.post;
  if (!found) throw new Error(`There is no ${path}.`);
  return found;
}

/** Whether the value is what the schema of the document says, with no field that it does not say. */
function expectFits(value: unknown, { content }: Content): void {
  const { schema } = content['application/json'];
  const local = JSON.stringify({ ...schema, $defs: document.components.schemas });
  const closed = closeObjects(JSON.parse(local.replaceAll('#/components/schemas/', '#/$defs/')));
  const { success, error } = z.fromJSONSchema(closed as z.core.JSONSchema.JSONSchema).safeParse(value);
  expect({ value, success, error: error?.message }).toEqual({ value, success: true, error: undefined });
}

function closeObjects(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closeObjects);
  if (typeof schema !== 'object' || schema === null) return schema;
  const closed = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closeObjects(value)]));
  return 'properties' in closed ? { ...closed, additionalProperties: false } : closed;
}

function responseOf({ responses }: Operation, status: number): Response {
  const found = responses[String(status)];
  if (!found) throw new Error(`There is no response ${status}.`);
  return found;
}

describe('/openapi.json', () => {
  test('is a valid document of OpenAPI 3.1', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate({ ...structuredClone(document) });
    expect({ valid, errors, version: validator.version }).toEqual({ valid: true, version: '3.1' });
  });

  test('names nothing that is not there', () => {
    const named = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)];
    const components = document.components as unknown as Record<string, object>;
    for (const [, kind = '', name = ''] of named) expect(Object.keys(components[kind] ?? {})).toContain(name);
  });

  test('says of both operations which codes they end with, each at its status', () => {
    const codesAt = (operation: Operation) =>
      Object.entries(operation.responses)
        .filter(([status]) => status !== '200')
        .flatMap(([status, { content }]) =>
          Object.keys(content['application/json'].examples ?? {}).map((code) => `${status} ${code}`),
        )
        .sort();
    const rows = [...Object.keys(FLUX_CODES), 'any other'].map(fluxErrorOf);
    const ofTasks = Object.values(FLUX_FAILURES).map((code: ApiErrorCode) => ({
      code,
      status: API_ERRORS[code].status,
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
    ]);
  });

  test('has examples that fit, and that the door takes', async () => {
    const examples = Object.entries(images.requestBody.content['application/json'].examples ?? {});
    expect(examples.map(([name]) => name)).toEqual(['generate', 'edit', 'callback']);
    for (const [, { value }] of examples) expectFits(value, images.requestBody);
    const [, { value: generate } = { value: {} }] = examples[0] ?? [];
    expect((await door.images(generate as object)).status).toBe(200);
    for (const response of [...Object.values(images.responses), ...Object.values(tasks.responses)]) {
      const { examples: errors = {} } = response.content['application/json'];
      for (const { value } of Object.values(errors)) expectFits(value, response);
    }
  });

  test('describes the callback with the headers of Standard Webhooks', async () => {
    const { parameters, requestBody } = images.callbacks?.result[CALLBACK_URL]?.post ?? {};
    const headers = parameters?.map(({ name }) => name);
    expect(headers).toEqual(['webhook-id', 'webhook-timestamp', 'webhook-signature']);
    for (const prompt of ['a cat', 'a cat [sandbox: fail=forbidden]']) {
      const { body } = await door.images({ ...asking(prompt), async: true });
      const { response } = await door.finished(body.task_id);
      expectFits(response, requestBody as Content);
    }
  });
});

describe('the answers of the door are what /openapi.json says', () => {
  const CASES: [what: string, status: number, body: object][] = [
    ['pictures', 200, { ...asking('fits'), count: 2 }],
    ['a task that was taken', 200, { ...asking('fits'), async: true }],
    ['an unknown action', 400, { action: 'paint' }],
    ['a bad request', 400, { ...asking('fits'), count: 9 }],
    ['a body that is too large', 413, { padding: 'x'.repeat(1024 * 1024) }],
    ['a task that failed', 500, asking('fits [sandbox: fail=api_error]')],
    ['moderation', 403, asking('fits [sandbox: fail=forbidden]')],
    ['too many requests', 429, asking('fits [sandbox: fail=too_many_requests]')],
  ];
  test.each(CASES)('/flux/images: %s', async (_what, status, body) => {
    const answer = await door.images(body);
    expect(answer.status).toBe(status);
    expectFits(answer.body, responseOf(images, status));
  });

  test('/flux/images: a wait that ran out', async () => {
    const hasty = await TestApp.start({ tuning: { fluxWaitMs: 300 } });
    const { status, body } = await doorOf(hasty).images(asking('fits [sandbox: delay=600s]'));
    expect(status).toBe(504);
    expectFits(body, responseOf(images, status));
    await hasty.stop();
  });

  test('/flux/images: a wrong key', async () => {
    const { status, body } = await doorOf(app, 'dk_wrong').images({});
    expectFits(body, responseOf(images, status));
  });

  test('/flux/tasks: running, finished, failed, unknown, several, and refused', async () => {
    const prompts = ['slow [sandbox: delay=600s]', 'done', 'failed [sandbox: fail=forbidden]'];
    const taken = await Promise.all(prompts.map((prompt) => door.images({ ...asking(prompt), async: true })));
    const ids = taken.map(({ body }) => body.task_id);
    await Promise.all(ids.slice(1).map((id) => door.finished(id)));
    const bodies = [
      ...ids.map((id) => ({ action: 'retrieve', id })),
      { action: 'retrieve', id: 'unknown' },
      { action: 'retrieve_batch', ids },
      { action: 'retrieve_batch', ids: 7 },
      { action: 'read' },
    ];
    for (const body of bodies) {
      const answer = await door.tasks(body);
      expectFits(answer.body, responseOf(tasks, answer.status));
    }
  });

  test('which would be noticed', () => {
    const accepted = { success: true, task_id: crypto.randomUUID(), trace_id: 'x' };
    expectFits(accepted, responseOf(images, 200));
    for (const wrong of [{ ...accepted, more: 1 }, { ...accepted, task_id: 7 }, { success: true }]) {
      expect(() => expectFits(wrong, responseOf(images, 200))).toThrow();
    }
  });
});

describe('/openapi', () => {
  test('is a page whose every file is ours, and there', async () => {
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

  test('loads nothing from elsewhere, and may not', async () => {
    const { headers } = await app.get('/openapi');
    const policy = headers['content-security-policy'] ?? '';
    const sources = policy.split(';').flatMap((directive) => directive.trim().split(' ').slice(1));
    expect([...new Set(sources)].sort()).toEqual(["'none'", "'self'", "'unsafe-inline'", 'data:']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    const css = (await app.get('/openapi/swagger-ui.css')).bytes.toString();
    expect(css).not.toMatch(/@import|url\((?!["']?data:)/);
  });

  test('shows our document', async () => {
    const [, url = ''] = /url: '([^']+)'/.exec((await app.get('/openapi/start.js')).bytes.toString()) ?? [];
    expect(new URL(url, `${app.url}/openapi`).pathname).toBe('/openapi.json');
  });

  test('with a slash at its end leads to the page', async () => {
    const { status, headers } = await app.get('/openapi/');
    expect([status, new URL(headers.location ?? '', `${app.url}/openapi/`).href]).toEqual([
      308,
      `${app.url}/openapi`,
    ]);
  });

  test.each(['/openapi/package.json', '/openapi/../package.json', '/openapi/index.html'])(
    'does not serve %s',
    async (path) => {
      expect((await app.get(path)).status).toBe(404);
    },
  );
});
