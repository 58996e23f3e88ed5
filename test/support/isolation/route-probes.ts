import { type Signer } from '../../../src/core/access/signer.js';
import { IMAGES_FIELDS } from '../../../src/http/flux-api/flux-schemas.js';
import { isMarker } from './database-rows.js';
import { type ProbeValues } from './graphql-probes.js';
import { type OwnResources } from './workspace-builder.js';

/** A request to a route with an identifier in it. */
export interface RouteProbe {
  path: string;
  init?: RequestInit;
  /** Sent without an API key, as signed links are. */
  isAnonymous?: boolean;
}
export interface RouteProbeContext {
  own: OwnResources;
  signer: Signer;
  probeValues: ProbeValues;
}
type BuildRouteProbes = (identifier: string, context: RouteProbeContext) => RouteProbe[];

const JSON_HEADERS = { 'content-type': 'application/json' };
const jsonRequest = (body: object, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { ...JSON_HEADERS, ...headers },
});
/** For a route that takes no identifier. It gets one in its query string all the same. */
const routeWithoutIdentifiers =
  (path: string): BuildRouteProbes =>
  (identifier) => [{ path: `${path}?id=${identifier}&taskId=${identifier}`, isAnonymous: true }];
const DAY_MS = 24 * 3_600_000;
const isoDate = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);
const EXPIRED_AT = (1_000_000).toString(36);
const NOT_AN_IMAGE = Buffer.from('not an image');

function uploadProbes(
  identifier: string,
  { own, signer }: RouteProbeContext,
  init: () => RequestInit,
): RouteProbe[] {
  const otherSignature = signer.sign('upload-link', own.image, 16);
  return ['', `?t=${otherSignature}`].map((search) => ({
    path: `/uploads/${identifier}${search}`,
    init: init(),
    isAnonymous: true,
  }));
}

function uploadForm(): FormData {
  const body = new FormData();
  body.set('file', new Blob([NOT_AN_IMAGE]));
  return body;
}

const taskQuery = (id: string) => `{ task(id: "${id}") { id prompt } image(id: "${id}") { id } }`;
const taskSubscription = (id: string) => `subscription { taskUpdated(id: "${id}") { id } }`;
const graphqlDocuments = (id: string) => [taskQuery(id), taskSubscription(id)];
const queryString = (query: string) => `?${new URLSearchParams({ query }).toString()}`;

/** The requests for each route, with the identifier wherever the route takes one. A new route needs a row. */
export const ROUTE_PROBES: Readonly<Record<string, BuildRouteProbes>> = {
  'GET /healthz': routeWithoutIdentifiers('/healthz'),
  'GET /readyz': routeWithoutIdentifiers('/readyz'),
  'GET /.well-known/jwks.json': routeWithoutIdentifiers('/.well-known/jwks.json'),
  'GET /openapi.json': routeWithoutIdentifiers('/openapi.json'),
  'GET /openapi': routeWithoutIdentifiers('/openapi'),
  'GET /openapi/': routeWithoutIdentifiers('/openapi/'),
  'GET /openapi/start.js': routeWithoutIdentifiers('/openapi/start.js'),
  'GET /openapi/swagger-ui.css': routeWithoutIdentifiers('/openapi/swagger-ui.css'),
  'GET /openapi/swagger-ui-bundle.js': routeWithoutIdentifiers('/openapi/swagger-ui-bundle.js'),
  'GET /openapi/favicon-32x32.png': routeWithoutIdentifiers('/openapi/favicon-32x32.png'),
  'POST /callbacks/flux/:taskId/:token': (identifier, { own, signer }) =>
    [`1.${signer.sign('flux-callback', `${own.task}.1`)}`, 'x', identifier].map((token) => ({
      path: `/callbacks/flux/${identifier}/${token}`,
      init: jsonRequest({ success: true, task_id: identifier, data: [] }),
      isAnonymous: true,
    })),
  'GET /images/:id': (identifier, { own, signer }) => {
    const tokens = [
      '',
      signer.sign('image-link', `${own.image}.`, 16),
      `${EXPIRED_AT}.${signer.sign('image-link', `${identifier}.${EXPIRED_AT}`, 16)}`,
    ];
    return tokens.map((token) => ({ path: `/images/${identifier}?t=${token}&w=64`, isAnonymous: true }));
  },
  'PUT /uploads/:id': (identifier, context) =>
    uploadProbes(identifier, context, () => ({ method: 'PUT', body: NOT_AN_IMAGE })),
  'POST /uploads/:id': (identifier, context) =>
    uploadProbes(identifier, context, () => ({ method: 'POST', body: uploadForm() })),
  'POST /flux/images': (identifier, { probeValues }) => {
    const own = { async: true, task_id: identifier, trace_id: identifier };
    if (!isMarker(identifier)) {
      const image_url = probeValues.signedImageLink(identifier);
      return [
        { path: '/flux/images', init: jsonRequest({ ...own, action: 'edit', prompt: 'x', image_url }) },
      ];
    }
    const body = {
      ...own,
      action: 'generate',
      prompt: identifier,
      callback_url: probeValues.webhookUrlFor(identifier),
    };
    // Sent twice, because an idempotency key is looked up when it is repeated.
    const request = { path: '/flux/images', init: jsonRequest(body, { 'idempotency-key': identifier }) };
    return [request, request];
  },
  'POST /flux/tasks': (identifier, { own }) =>
    [
      { action: 'retrieve', id: identifier, trace_id: identifier },
      { action: 'retrieve', id: own.running, trace_id: identifier, task_id: identifier },
      { action: 'retrieve_batch', ids: [identifier] },
      { action: 'retrieve_batch', ids: [own.running, identifier, own.task], trace_ids: [identifier] },
    ].map((body) => ({ path: '/flux/tasks', init: jsonRequest(body) })),
  'GET /usage.csv': (identifier) =>
    ['DAY', 'MODEL', 'API_KEY', 'END_USER'].map((groupBy) => ({
      path: `/usage.csv?from=${isoDate(-1)}&to=${isoDate(1)}&groupBy=${groupBy}&key=${identifier}&endUserId=${identifier}&workspaceId=${identifier}`,
    })),
  'GET /events': (identifier) => [
    { path: `/events?after=${identifier}` },
    { path: '/events', init: { headers: { 'last-event-id': identifier } } },
    { path: `/events?types=${identifier}&taskIds=${identifier}` },
  ],
  'GET /tasks/:id/events': (identifier) => [
    { path: `/tasks/${identifier}/events` },
    { path: `/tasks/${identifier}/events?after=${identifier}` },
    { path: `/tasks/${identifier}/events`, init: { headers: { 'last-event-id': identifier } } },
  ],
  'GET /graphql/stream': (identifier) =>
    graphqlDocuments(identifier).map((query) => ({ path: `/graphql/stream${queryString(query)}` })),
  'POST /graphql/stream': (identifier) =>
    graphqlDocuments(identifier).map((query) => ({ path: '/graphql/stream', init: jsonRequest({ query }) })),
  // These two are not registered in express.
  'GET /graphql': (identifier) => [
    { path: `/graphql${queryString(taskQuery(identifier))}`, init: { headers: JSON_HEADERS } },
  ],
  'POST /graphql': (identifier) =>
    graphqlDocuments(identifier).map((query) => ({ path: '/graphql', init: jsonRequest({ query }) })),
};

/** Fields of a request body of the Flux API that cannot name data, or that the probes above send. */
const COVERED_FLUX_FIELDS = [
  'action',
  'prompt',
  'image_url',
  'callback_url',
  'async',
  'model',
  'size',
  'count',
];

/** Returns the routes and fields that no probe covers yet. */
export function uncoveredRoutesAndFields(routes: readonly string[]): string[] {
  return [
    ...routes.filter((route) => !ROUTE_PROBES[route]),
    ...IMAGES_FIELDS.filter((field) => !COVERED_FLUX_FIELDS.includes(field)),
  ];
}
