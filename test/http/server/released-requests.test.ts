import { once } from 'node:events';
import { type IncomingMessage, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { buildSchema, type GraphQLObjectType } from 'graphql';
import { pino } from 'pino';
import { type Context } from '../../../src/graphql/server/context.js';
import { createGraphqlOverHttp } from '../../../src/graphql/server/apollo.js';
import { Introspection } from '../../../src/graphql/server/introspection.js';
import { OperationCache } from '../../../src/graphql/server/operation-cache.js';
import { createErrorFormatter } from '../../../src/graphql/server/format-error.js';
import { createGraphqlHandler } from '../../../src/http/server/graphql-handler.js';
import { answerMalformedRequests, createHttpServer } from '../../../src/http/server/listen.js';
import { PipelinedRequests } from '../../../src/http/server/pipelined-requests.js';
import { RequestBodies } from '../../../src/http/server/request-bodies.js';
import { UnreadBodies } from '../../../src/http/server/unread-bodies.js';
import { type Access } from '../../../src/services/access/access.js';
import { type RateLimits } from '../../../src/services/limits/rate-limits.js';
import { callerWith } from '../../support/access/callers.js';
import { collectGarbage } from '../../support/collect-garbage.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
const limits = {
  ...{ tokens: 2_000, depth: 15, aliases: 30, directives: 10, rootFields: 30 },
  ...{ listSize: 1_000, cost: 10_000 },
};

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0)) await release();
});

/** A server with what sees every request. Returns what a connection has received. */
async function start(handle: RequestListener) {
  const server = createHttpServer();
  answerMalformedRequests(server);
  const unreadBodies = new UnreadBodies(server);
  server.on('request', unreadBodies.handler(new PipelinedRequests().handler(handle)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(() => (unreadBodies.stop(), server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  return (bytes: string) => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    releases.push(() => socket.destroy());
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => (received += text));
    socket.write(bytes);
    return { socket, received: () => received };
  };
}

const postOf = (body: string) =>
  `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

const waitForRelease = (reference: () => WeakRef<object> | undefined) =>
  waitFor('what a request has to be released', () => {
    collectGarbage();
    const found = reference();
    return found !== undefined && found.deref() === undefined;
  });

test.each<['after all of it' | 'before its end', (request: IncomingMessage) => Promise<unknown>]>([
  ['after all of it', (request) => once(request.resume(), 'end')],
  ['before its end', () => Promise.resolve()],
])('an idle connection keeps nothing of a request that was answered %s', async (when, untilAnswered) => {
  let kept: WeakRef<object> | undefined;
  const send = await start((request, response) => {
    const body = { large: true };
    Object.assign(request, { body });
    kept = new WeakRef(body);
    void untilAnswered(request).then(() => response.end('ok'));
  });
  const { socket, received } = send(postOf('hello').slice(0, -1));
  const answer = () => waitFor('the answer', () => received().includes('ok'));
  if (when === 'before its end') await answer();
  socket.write('o');
  await answer();
  await waitForRelease(() => kept);
  expect(socket.destroyed).toBe(false);
});

test('a GraphQL request that is in progress keeps nothing of its body but what it runs', async () => {
  const schema = buildSchema('type Query { slow: String }');
  const operations = new OperationCache(schema, { limits, introspection: true });
  let end = (): void => undefined;
  let isRunning = false;
  const { slow } = (schema.getQueryType() as GraphQLObjectType).getFields();
  Object.assign(slow ?? {}, {
    resolve: () => {
      isRunning = true;
      return new Promise<string>((resolve) => (end = () => resolve('done')));
    },
  });
  const { execute, stop } = await createGraphqlOverHttp({
    ...{ schema, operations, log, maxOperationsPerRequest: 1 },
    introspection: new Introspection(schema, createErrorFormatter(log)),
    createContext: () => ({}) as Context,
    rateLimits: { countRequests: () => Promise.resolve(null) } as unknown as RateLimits,
  });
  releases.push(stop);
  const caller = callerWith();
  let junk: WeakRef<object> | undefined;
  const handle = createGraphqlHandler({
    ...{ log, allowedOrigins: null, bodies: new RequestBodies(), clientAddressOf: () => null },
    access: { authenticate: () => Promise.resolve(caller) } as unknown as Access,
    executeGraphql: (request, own) =>
      execute(
        {
          ...request,
          readBody: async () => {
            const body = (await request.readBody()) as { junk: object };
            junk = new WeakRef(body.junk);
            return body;
          },
        },
        own,
      ),
  });
  const send = await start(handle);
  const { socket, received } = send(postOf(JSON.stringify({ query: '{ slow }', junk: [{}, {}] })));
  await waitFor('the resolver', () => isRunning);
  await waitForRelease(() => junk);
  end();
  await waitFor('the answer', () => received().includes('done'));
  expect(socket.destroyed).toBe(false);
});
