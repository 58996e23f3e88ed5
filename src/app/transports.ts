import { type Server } from 'node:http';
import { type Socket } from 'node:net';
import { createClientAddressReader } from '../core/access/client-address.js';
import { WaitingRequests } from '../core/limits/waiting-requests.js';
import { createGraphqlOverHttp } from '../graphql/server/apollo.js';
import { createContextFactory } from '../graphql/server/context.js';
import { createErrorFormatter } from '../graphql/server/format-error.js';
import { Introspection } from '../graphql/server/introspection.js';
import { OperationCache } from '../graphql/server/operation-cache.js';
import { buildExecutableSchema } from '../graphql/server/schema.js';
import { OperationRunner } from '../graphql/server/operation-runner.js';
import { createGraphqlOverWebSocket } from '../graphql/websocket/websocket.js';
import { EventStreamRoutes } from '../http/events/event-stream-routes.js';
import { fluxRoutes } from '../http/flux-api/flux-routes.js';
import { isGraphqlRequest, createGraphqlHandler } from '../http/server/graphql-handler.js';
import { ideAssetRoutes, isIdeRequest, createIdeHandler } from '../http/server/graphql-ide.js';
import {
  acceptAbsoluteTargets,
  answerMalformedRequests,
  close,
  watchRequestTimeouts,
} from '../http/server/listen.js';
import { createHttpApp } from '../http/server/http-app.js';
import { PipelinedRequests } from '../http/server/pipelined-requests.js';
import { RequestBodies } from '../http/server/request-bodies.js';
import { UnreadBodies } from '../http/server/unread-bodies.js';
import { UnreadResponses } from '../http/server/unread-responses.js';
import { WaitingConnections } from '../http/server/waiting-connections.js';
import { Sandbox } from '../sandbox/sandbox.js';
import { FluxApi } from '../services/flux-api/flux-api.js';
import { type Health } from '../services/operations/health.js';
import { HeldRequests } from '../services/flux-api/held-requests.js';
import { type Services } from './services.js';
import { type AppContext } from './app-context.js';

/** The parts below, Express and a stream each wait for the end of a response. Node warns of more than 10. */
const MAX_RESPONSE_LISTENERS = 20;

/** Node's fetch times out after 5 min. A response shortly before still delivers the task's ID. */
const FLUX_HOLD_TIMEOUT_MS = 295_000;

/** Mounts the GraphQL, HTTP and WebSocket transports on the server, which is listening already. */
export async function startTransports(
  server: Server,
  services: Services & { health: Health },
  { config, log, tuning, cleanups, url }: AppContext,
): Promise<void> {
  const { access, signedLinks, connections, generation, taskReads, rateLimits, eventSubscriptions } =
    services;
  const schema = await buildExecutableSchema(services);
  const clientAddressOf = createClientAddressReader(config.trustedProxyCount);
  const createContext = createContextFactory(taskReads, eventSubscriptions);
  const { maxOperationsPerRequest, ide, ...documentPolicy } = config.graphql;
  const waitingRequests = new WaitingRequests();
  const operations = new OperationCache(schema, documentPolicy, waitingRequests);
  const introspection = new Introspection(schema, createErrorFormatter(log), waitingRequests);
  const graphqlServices = { schema, operations, introspection, createContext, rateLimits, log };
  const graphql = await createGraphqlOverHttp({ ...graphqlServices, maxOperationsPerRequest });
  cleanups.push(() => graphql.stop());
  const operationRunner = new OperationRunner({ ...graphqlServices, eventSubscriptions });
  const waitingConnections = new WaitingConnections();
  cleanups.push(() => waitingConnections.stop());
  const onAcknowledged = (duplex: Socket) => waitingConnections.release(duplex);
  const webSockets = createGraphqlOverWebSocket(
    { operationRunner, access, connections, eventSubscriptions, clientAddressOf, onAcknowledged, log },
    config.push.allowedOrigins,
  );
  const maxHoldMs = tuning.fluxHoldTimeoutMs ?? FLUX_HOLD_TIMEOUT_MS;
  const heldRequests = new HeldRequests({ connections, eventSubscriptions, maxHoldMs });
  const bodies = new RequestBodies();
  const fluxRouter = fluxRoutes(
    { access, clientAddressOf, rateLimits, bodies },
    new FluxApi({ generation, taskReads, signedLinks }),
    heldRequests,
  );
  const startOperation = operationRunner.start.bind(operationRunner);
  const eventStreams = new EventStreamRoutes({ ...services, startOperation, clientAddressOf, bodies });
  const extraRoutes = [];
  if (config.flux.token === null) {
    const sandbox = new Sandbox({ publicUrl: () => `${url}/sandbox`, log, delayMs: tuning.sandboxDelayMs });
    cleanups.push(() => sandbox.close());
    extraRoutes.push({ path: '/sandbox', handler: sandbox.router });
  }
  if (ide) extraRoutes.push({ path: '/', handler: ideAssetRoutes() });
  const shared = { ...services, clientAddressOf, bodies, allowedOrigins: config.push.allowedOrigins, log };
  const { maxBytes: maxImageBytes } = config.images;
  const app = createHttpApp(
    { ...shared, maxImageBytes, eventStreams, flux: fluxRouter, extraRoutes },
    config.roles,
  );
  const handleGraphql = createGraphqlHandler({ ...shared, executeGraphql: graphql.execute });
  const handleIde = ide && config.roles.api ? createIdeHandler() : null;
  const unreadBodies = new UnreadBodies(server);
  cleanups.push(() => unreadBodies.stop());
  server.removeAllListeners('request');
  server.on('request', (_request, response) => response.setMaxListeners(MAX_RESPONSE_LISTENERS));
  acceptAbsoluteTargets(server);
  waitingConnections.watch(server);
  watchRequestTimeouts(server);
  answerMalformedRequests(server);
  const pipelinedRequests = new PipelinedRequests();
  const unreadResponses = new UnreadResponses(server);
  cleanups.push(() => unreadResponses.stop());
  server.on(
    'request',
    unreadBodies.handler(
      pipelinedRequests.handler((request, response) => {
        if (handleIde && isIdeRequest(request)) handleIde(request, response);
        else if (config.roles.api && isGraphqlRequest(request)) handleGraphql(request, response);
        else app(request, response);
      }),
    ),
  );
  server.on('upgrade', (request, socket, head) => {
    if (config.roles.api) webSockets.upgrade(request, socket, head);
    else socket.destroy();
  });
  cleanups.push(() =>
    Promise.all([close(server), webSockets.stop(), eventStreams.stop(), heldRequests.stop()]),
  );
}
