import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestApp } from '../../support/app/test-app.js';

/** An expression that tries each character of a run as a beginning takes half a minute for this. */
const RUN = 150_000;
/** In a header or a URL, as many as fit. It takes seconds. */
const HEADER_RUN = 12_000;
/** Everything else takes milliseconds, even beside other tests. */
const MAX_MS = 10_000;
const MAX_HEADER_MS = 2_000;
/** What expressions repeat most: separators, digits and letters. */
const VISIBLE = [...',;:./-=@"(0a'];
const CHARACTERS = [' ', '\n', '猫', '\u0301', ...VISIBLE];

let app: TestApp;
let authorization: string;
beforeAll(async () => {
  const upstream = { FLUX_BASE_URL: 'http://127.0.0.1:9', FLUX_API_TOKEN: 'none' };
  app = await TestApp.start({ environment: { ...upstream, ROLES: 'api', TRUST_PROXY: '1' } });
  authorization = `Bearer ${app.apiKey}`;
});
afterAll(() => app.stop());

async function expectQuickAnswer(send: () => Promise<{ status: number }>, maxMs: number): Promise<void> {
  const start = performance.now();
  const { status } = await send();
  expect(status).toBeLessThan(500);
  expect(performance.now() - start).toBeLessThan(maxMs);
}

const FLUX_FIELDS = [
  'action',
  'prompt',
  'model',
  'size',
  'count',
  'image_url',
  'callback_url',
  'async',
  'other',
];

test.each(FLUX_FIELDS)(
  'a long run of one character in `%s` of the Flux API is read at once',
  async (field) => {
    for (const character of CHARACTERS) {
      const body = { action: 'edit', prompt: 'x', async: true, [field]: `1${character.repeat(RUN)}1` };
      await expectQuickAnswer(() => app.postBody('/flux/images', body, { authorization }), MAX_MS);
    }
  },
);

/** Documents, and the argument that each gives its variable to. */
const DOCUMENTS: Record<string, string> = {
  prompt: 'mutation ($text: String!) { generateImages(input: { prompt: $text }) { userErrors { code } } }',
  size: 'mutation ($text: String) { generateImages(input: { prompt: "x", size: $text }) { userErrors { code } } }',
  model:
    'mutation ($text: String) { generateImages(input: { prompt: "x", model: $text }) { userErrors { code } } }',
  endUserId:
    'mutation ($text: String) { generateImages(input: { prompt: "x", endUserId: $text }) { userErrors { code } } }',
  idempotencyKey:
    'mutation ($text: String) { generateImages(input: { prompt: "x", idempotencyKey: $text }) { userErrors { code } } }',
  webhookUrl:
    'mutation ($text: String) { generateImages(input: { prompt: "x", webhookUrl: $text }) { userErrors { code } } }',
  metadata:
    'mutation ($text: JSON) { generateImages(input: { prompt: "x", metadata: $text }) { userErrors { code } } }',
  sourceImageUrl:
    'mutation ($text: String) { editImage(input: { prompt: "x", sourceImageUrl: $text }) { userErrors { code } } }',
  sourceImageId:
    'mutation ($text: ID) { editImage(input: { prompt: "x", sourceImageId: $text }) { userErrors { code } } }',
  search: 'query ($text: String) { tasks(filter: { search: $text }) { nodes { id } } }',
  createdAfter: 'query ($text: DateTime) { tasks(filter: { createdAfter: $text }) { nodes { id } } }',
  after: 'query ($text: String) { tasks(after: $text) { nodes { id } } }',
  'the cursor of events': 'query ($text: String) { taskEvents(after: $text) { nodes { id } } }',
  id: 'query ($text: ID!) { task(id: $text) { id } }',
  amount:
    'mutation ($text: Decimal) { setBudget(input: { scope: WORKSPACE, amount: $text, currency: "USD" }) { userErrors { code } } }',
  currency:
    'mutation ($text: String) { setBudget(input: { scope: WORKSPACE, amount: "1", currency: $text }) { userErrors { code } } }',
  name: 'mutation ($text: String!) { createApiKey(input: { name: $text, scopes: ["tasks:read"] }) { userErrors { code } } }',
  fileName: 'mutation ($text: String) { createUpload(input: { fileName: $text }) { userErrors { code } } }',
};

test.each(Object.keys(DOCUMENTS))(
  'a long run of one character in `%s` of GraphQL is read at once',
  async (name) => {
    for (const character of CHARACTERS) {
      const body = { query: DOCUMENTS[name], variables: { text: `1${character.repeat(RUN)}1` } };
      await expectQuickAnswer(() => app.postBody('/graphql', body, { authorization }), MAX_MS);
    }
  },
);

test('a long run of one character in a document is read at once', async () => {
  for (const character of CHARACTERS) {
    const body = { query: `{ viewer { keyName } }${character.repeat(RUN)}x` };
    await expectQuickAnswer(() => app.postBody('/graphql', body, { authorization }), MAX_MS);
  }
});

const HEADERS = [
  ...['authorization', 'content-type', 'content-encoding', 'accept', 'accept-encoding', 'origin', 'cookie'],
  ...[
    'if-match',
    'if-none-match',
    'if-range',
    'range',
    'x-forwarded-for',
    'idempotency-key',
    'last-event-id',
  ],
  'content-disposition',
];
const PATHS = [
  '/graphql',
  '/graphql/stream',
  '/flux/tasks',
  `/images/${newId()}?t=x`,
  '/usage.csv?from=2026-01-01',
];

test.each(HEADERS)('a long run of one character in the header %s is read at once', async (name) => {
  for (const character of [' ', '\t', ...VISIBLE])
    for (const path of PATHS) {
      const method = path.startsWith('/images') || path.startsWith('/usage') ? 'GET' : 'POST';
      const headers = { authorization, [name]: `bytes=1${character.repeat(HEADER_RUN)}1` };
      await expectQuickAnswer(() => fetch(app.url + path, { method, headers }), MAX_HEADER_MS);
    }
});

const URLS = [
  '/images/',
  `/images/${newId()}?t=`,
  '/uploads/',
  '/events?taskIds=',
  '/events?after=',
  '/callbacks/flux/',
  '/',
];

test.each(URLS)('a long run of one character in the URL %s is read at once', async (url) => {
  for (const character of VISIBLE) {
    const target = `${app.url}${url}1${character.repeat(HEADER_RUN)}1`;
    await expectQuickAnswer(() => fetch(target, { headers: { authorization } }), MAX_HEADER_MS);
  }
});
