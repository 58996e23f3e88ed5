/**
 * The floor and the image host of images.ts. Arguments: `[file]`. GET /file streams the file with as little work as possible.
 * GET /image/<n> returns the file with the number appended, so that every image is different and can be decoded.
 */
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { helperArgs, serveCommands } from './support/helper.js';

const [file = ''] = helperArgs();
const size = statSync(file).size;
const bytes = readFileSync(file);

const server = createServer((request, response) => {
  const [, number] = /^\/image\/(\d+)$/.exec(request.url ?? '') ?? [];
  if (number === undefined) {
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': size });
    pipeline(createReadStream(file), response, () => undefined);
    return;
  }
  response.end(Buffer.concat([bytes, Buffer.from(number)]));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
serveCommands(() => Promise.resolve({ url: `http://127.0.0.1:${port}` }));
