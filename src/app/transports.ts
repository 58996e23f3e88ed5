import { type Server } from 'node:http';
import { clientAddressReader } from '../core/access/client-address.js';
import { serveGraphqlOverHttp } from '../graphql/server/apollo.js';
import { contextMaker } from '../graphql/server/context.js';
import { Operations } from '../graphql/server/operations.js';
import { makeSchema } from '../graphql/server/schema.js';
import { Subscriptions } from '../graphql/events/subscriptions.js';
import { serveGraphqlOverWebSocket } from '../graphql/server/websocket.js';
import { EventStreams } from '../http/events/event-streams.js';
import { fluxRoutes } from '../http/flux-api/flux-routes.js';
import { isForGraphql, mountGraphql } from '../http/server/graphql-mount.js';
import { ideFiles, isForIde, mountIde } from '../http/server/graphql-ide.js';
import { close } from '../http/server/listen.js';
import { makeHttpApp } from '../http/server/http-app.js';
import { Sandbox } from '../sandbox/sandbox.js';
import { FluxApi } from '../services/flux-api/flux-api.js';
import { type Health } from '../services/health.js';
import { Waiting } from '../services/flux-api/held-requests.js';
import { type Services } from './services.js';
import { type Start } from './start.js';

/** Node's own fetch gives up after 5 min: just before, the answer can still bring the task's id. */
const FLUX_WAIT_MS = 295_000;

/** Opens the doors of queries and requests on the server that listens already. */
export async function openDoors(
  server: Server,
  services: Services,
  health: Health,
  { config, log, tuning, releases, url }: Start,
): Promise<void> {
  const { access, addresses, connections, generation, history, rateLimits, watching } = services;
  const schema = await makeSchema(services);
  const addressOf = clientAddressReader(config.trustedProxies);
  const makeContext = contextMaker(history, watching);
  const { operationsPerRequest, ide, ...rules } = config.graphql;
  const operations = new Operations(schema, rules);
  const graphql = await serveGraphqlOverHttp(
    schema,
    operations,
    makeContext,
    rateLimits,
    operationsPerRequest,
    log,
  );
  releases.push(() => graphql.stop());
  const subscriptions = new Subscriptions(schema, operations, makeContext, watching, rateLimits, log);
  const sockets = serveGraphqlOverWebSocket(
    { subscriptions, access, connections, addressOf, log },
    config.push.allowedOrigins,
  );
  const waiting = new Waiting(connections, watching, tuning.fluxWaitMs ?? FLUX_WAIT_MS);
  const flux = fluxRoutes(
    { access, addressOf, rateLimits },
    new FluxApi(generation, history, addresses),
    waiting,
  );
  const startOperation = subscriptions.start.bind(subscriptions);
  const eventStreams = new EventStreams({
    access,
    connections,
    watching,
    rateLimits,
    startOperation,
    addressOf,
  });
  const extra = [];
  if (config.flux.token === null) {
    const sandbox = new Sandbox({ publicUrl: () => `${url}/sandbox`, log, delayMs: tuning.sandboxDelayMs });
    releases.push(() => sandbox.close());
    extra.push({ path: '/sandbox', handler: sandbox.router });
  }
  const { allowedOrigins } = config.push;
  const { pictureServing: pictures, uploading, tokenSigning, usage } = services;
  const pictureDoors = { pictures, uploading, maxImageBytes: config.images.maxBytes };
  const doors = {
    access,
    tokenSigning,
    addressOf,
    addresses,
    allowedOrigins,
    eventStreams,
    generation,
    health,
    rateLimits,
    usage,
    ...pictureDoors,
  };
  if (ide) extra.push({ path: '/', handler: ideFiles() });
  const app = makeHttpApp({ ...doors, flux, extra, log }, config.roles);
  const graphqlDoor = { access, addressOf, graphql: graphql.answer, allowedOrigins, log };
  const graphqlMount = mountGraphql(graphqlDoor);
  const ideMount = ide && config.roles.api ? mountIde() : null;
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (ideMount && isForIde(request)) ideMount(request, response);
    else if (config.roles.api && isForGraphql(request)) graphqlMount(request, response);
    else app(request, response);
  });
  server.on('upgrade', (request, socket, head) => {
    if (config.roles.api) sockets.upgrade(request, socket, head);
    else socket.destroy();
  });
  releases.push(() => Promise.all([close(server), sockets.stop(), eventStreams.stop(), waiting.stop()]));
}
