/**
 * The floor of images.ts and the host of its pictures, in a process of its own. `[file]`: GET /file streams the file, as
 * little as Node can do for it; GET /picture/<n> answers the file with its own number behind it, so that no two are alike
 * and all of them decode.
 */
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { helperArgs, serveOrders } from './support/helper.js';

const [file = ''] = helperArgs();
const size = statSync(file).size;
const bytes = readFileSync(file);

const server = createServer((request, response) => {
  const [, number] = /^\/picture\/(\d+)$/.exec(request.url ?? '') ?? [];
  if (number === undefined) {
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': size });
    pipeline(createReadStream(file), response, () => undefined);
    return;
  }
  response.end(Buffer.concat([bytes, Buffer.from(number)]));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
serveOrders(() => Promise.resolve({ url: `http://127.0.0.1:${port}` }));
