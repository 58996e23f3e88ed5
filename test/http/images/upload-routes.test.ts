import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { getDefaultHighWaterMark, type Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import express from 'express';
import { uploadRoutes } from '../../../src/http/images/upload-routes.js';
import { type SignedLinks } from '../../../src/services/access/signed-links.js';
import { type Uploads } from '../../../src/services/images/uploads.js';
import { waitFor } from '../../support/wait-for.js';

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

test('an upload ends when its client leaves after the last byte and before all of it was read', async () => {
  // More than the stream for the reader takes, and less than that together with the request.
  const bodySize = 1.5 * getDefaultHighWaterMark(false);
  const requests: express.Request[] = [];
  let readMore: () => void = () => undefined;
  const mayReadMore = new Promise<void>((resolve) => (readMore = resolve));
  const errors: unknown[] = [];
  let received = 0;
  let hasEnded = false;
  const uploads = {
    requireValidLink: () => undefined,
    /** A disk that is slower than the network. */
    receive: async (_id: string, _token: string, bytes: Readable) => {
      await mayReadMore;
      try {
        for await (const chunk of bytes as AsyncIterable<Buffer>) received += (await nextTurn(chunk)).length;
        hasEnded = true;
      } catch (error) {
        errors.push(error);
        throw error;
      }
      throw new Error('The body ended.');
    },
  };
  const app = express();
  app.use((request, _response, next) => {
    requests.push(request);
    request.socket.once('close', readMore);
    next();
  });
  app.use(uploadRoutes(uploads as unknown as Uploads, {} as SignedLinks, 1_000_000));
  app.use(
    ((_error, _request, response, _next) => void response.destroy()) satisfies express.ErrorRequestHandler,
  );
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(() => (server.closeAllConnections(), server.close()));

  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  client.write(`PUT /uploads/1?t=a HTTP/1.1\r\nhost: x\r\ncontent-length: ${bodySize}\r\n\r\n`);
  client.write('x'.repeat(bodySize));
  await waitFor('the body to arrive', () => requests[0]?.complete);
  client.resetAndDestroy();
  await waitFor('the upload to end', () => hasEnded || errors.length === 1);
  // Node.js 24 hands over what has arrived. Earlier versions abort the request.
  if (hasEnded) expect(received).toBe(bodySize);
  else expect(errors).toMatchObject([{ type: 'request.aborted' }]);
});
