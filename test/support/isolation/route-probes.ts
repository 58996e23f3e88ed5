import { type Signer } from '../../../src/core/access/signer.js';
import { IMAGES_FIELDS } from '../../../src/http/flux-api/flux-schemas.js';
import { type Pairs } from './graphql-probes.js';
import { isWord } from './database-rows.js';
import { type Own } from './workspace-fixtures.js';

/** A request that names something. */
export interface RouteRequest {
  path: string;
  init?: RequestInit;
  /** Links bring their own signature. */
  isAnonymous?: boolean;
}
export interface RouteTools {
  own: Own;
  signer: Signer;
  pairs: Pairs;
}
type Ask = (name: string, tools: RouteTools) => RouteRequest[];

const JSON_HEADERS = { 'content-type': 'application/json' };
const json = (body: object, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { ...JSON_HEADERS, ...headers },
});
/** Takes no name; it is asked with one all the same. */
const nothing =
  (path: string): Ask =>
  (name) => [{ path: `${path}?id=${name}&taskId=${name}`, isAnonymous: true }];
const DAY_MS = 24 * 3_600_000;
const dayAfter = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);
const LONG_AGO = (1_000_000).toString(36);
const PICTURE = Buffer.from('no picture');

function upload(name: string, { own, signer }: RouteTools, init: () => RequestInit): RouteRequest[] {
  const ofAnother = signer.sign('upload-link', own.image, 16);
  return ['', `?t=${ofAnother}`].map((search) => ({
    path: `/uploads/${name}${search}`,
    init: init(),
    isAnonymous: true,
  }));
}

function form(): FormData {
  const body = new FormData();
  body.set('file', new Blob([PICTURE]));
  return body;
}

const TASK = '{ task(id: "NAME") { id prompt } image(id: "NAME") { id } }';
const WATCH = 'subscription { taskUpdated(id: "NAME") { id } }';
const documents = (name: string) => [TASK, WATCH].map((query) => query.replaceAll('NAME', name));
const search = (query: string) => `?${new URLSearchParams({ query }).toString()}`;

/** What each route is asked: every place in it that takes a name has this one. A route that is new needs a row. */
export const ROUTE_QUESTIONS: Readonly<Record<string, Ask>> = {
  'GET /healthz': nothing('/healthz'),
  'GET /readyz': nothing('/readyz'),
  'GET /.well-known/jwks.json': nothing('/.well-known/jwks.json'),
  'GET /openapi.json': nothing('/openapi.json'),
  'GET /openapi': nothing('/openapi'),
  'GET /openapi/': nothing('/openapi/'),
  'GET /openapi/start.js': nothing('/openapi/start.js'),
  'GET /openapi/swagger-ui.css': nothing('/openapi/swagger-ui.css'),
  'GET /openapi/swagger-ui-bundle.js': nothing('/openapi/swagger-ui-bundle.js'),
  'GET /openapi/favicon-32x32.png': nothing('/openapi/favicon-32x32.png'),
  'POST /callbacks/flux/:taskId/:token': (name, { own, signer }) =>
    [signer.sign('flux-callback', own.task), 'x', name].map((token) => ({
      path: `/callbacks/flux/${name}/${token}`,
      init: json({ success: true, task_id: name, data: [] }),
      isAnonymous: true,
    })),
  'GET /images/:id': (name, { own, signer }) => {
    const tokens = [
      '',
      signer.sign('image-link', `${own.image}.`, 16),
      `${LONG_AGO}.${signer.sign('image-link', `${name}.${LONG_AGO}`, 16)}`,
    ];
    return tokens.map((token) => ({ path: `/images/${name}?t=${token}&w=64`, isAnonymous: true }));
  },
  'PUT /uploads/:id': (name, tools) => upload(name, tools, () => ({ method: 'PUT', body: PICTURE })),
  'POST /uploads/:id': (name, tools) => upload(name, tools, () => ({ method: 'POST', body: form() })),
  'POST /flux/images': (name, { pairs }) => {
    const own = { async: true, task_id: name, trace_id: name };
    if (!isWord(name)) {
      const image_url = pairs.imageLink(name);
      return [{ path: '/flux/images', init: json({ ...own, action: 'edit', prompt: 'x', image_url }) }];
    }
    const body = { ...own, action: 'generate', prompt: name, callback_url: pairs.address(name) };
    // The key is looked for when it is sent again.
    const request = { path: '/flux/images', init: json(body, { 'idempotency-key': name }) };
    return [request, request];
  },
  'POST /flux/tasks': (name, { own }) =>
    [
      { action: 'retrieve', id: name, trace_id: name },
      { action: 'retrieve', id: own.running, trace_id: name, task_id: name },
      { action: 'retrieve_batch', ids: [name] },
      { action: 'retrieve_batch', ids: [own.running, name, own.task], trace_ids: [name] },
    ].map((body) => ({ path: '/flux/tasks', init: json(body) })),
  'GET /usage.csv': (name) =>
    ['DAY', 'MODEL', 'KEY', 'END_USER'].map((groupBy) => ({
      path: `/usage.csv?from=${dayAfter(-1)}&to=${dayAfter(1)}&groupBy=${groupBy}&key=${name}&endUserId=${name}&workspaceId=${name}`,
    })),
  'GET /events': (name) => [
    { path: `/events?after=${name}` },
    { path: '/events', init: { headers: { 'last-event-id': name } } },
    { path: `/events?types=${name}&taskIds=${name}` },
  ],
  'GET /tasks/:id/events': (name) => [
    { path: `/tasks/${name}/events` },
    { path: `/tasks/${name}/events?after=${name}` },
    { path: `/tasks/${name}/events`, init: { headers: { 'last-event-id': name } } },
  ],
  'GET /graphql/stream': (name) =>
    documents(name).map((query) => ({ path: `/graphql/stream${search(query)}` })),
  'POST /graphql/stream': (name) =>
    documents(name).map((query) => ({ path: '/graphql/stream', init: json({ query }) })),
  // Beside express.
  'GET /graphql': (name) =>
    [TASK.replaceAll('NAME', name)].map((query) => ({
      path: `/graphql${search(query)}`,
      init: { headers: JSON_HEADERS },
    })),
  'POST /graphql': (name) => documents(name).map((query) => ({ path: '/graphql', init: json({ query }) })),
};

/** The fields of a body of the Flux API that can name something are asked about above; these name nothing. */
const FLUX_FIELDS = ['action', 'prompt', 'image_url', 'callback_url', 'async', 'model', 'size', 'count'];

/** What the walk does not know yet. */
export function unknownToTheWalk(routes: readonly string[]): string[] {
  return [
    ...routes.filter((route) => !ROUTE_QUESTIONS[route]),
    ...IMAGES_FIELDS.filter((field) => !FLUX_FIELDS.includes(field)),
  ];
}
