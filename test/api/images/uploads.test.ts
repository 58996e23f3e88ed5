import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Busboy } from '@fastify/busboy';
import sharp from 'sharp';
import {
  CreateUploadDocument,
  EditImageDocument,
  ImageByIdDocument,
  ImageLineageDocument,
} from '../../../clients/operations.js';
import { MAX_FORM_PARTS } from '../../../src/http/images/upload-routes.js';
import { MAX_SMALL_PIECES } from '../../../src/http/server/unread-bodies.js';
import { UploadRepository } from '../../../src/db/images/upload-repository.js';
import { MAX_UPLOADS_PER_END_USER } from '../../../src/services/images/upload-bounds.js';
import { Uploads } from '../../../src/services/images/uploads.js';
import { DiskStore } from '../../../src/storage/disk-store.js';
import { nullIfNotFound } from '../../../src/storage/incoming-files.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { createClientToken } from '../../support/access/client-tokens.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

let app: TestApp;
let photo: Buffer;
beforeAll(async () => {
  app = await TestApp.start({ environment: { MAX_IMAGE_BYTES: '200000' } });
  // 40 x 20 pixels, with an orientation of 90 degrees and a GPS position in the metadata.
  photo = await sharp({ create: { width: 40, height: 20, channels: 3, background: 'red' } })
    .withExif({ IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '48/1 8/1 0/1' } })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer();
});
afterAll(() => app.stop());

interface UploadResponse {
  status: number;
  json: {
    image?: { id: string; url: string; width: number; height: number; mimeType: string };
    error?: { code: string };
  };
}
async function createUploadLink(fileName?: string): Promise<{ imageId: string; path: string }> {
  const { createUpload } = await app.query(CreateUploadDocument, { input: { fileName } });
  return { imageId: createUpload.upload?.imageId ?? '', path: pathAndQuery(createUpload.upload?.url) };
}
async function put(path: string, body: Uint8Array | ReadableStream<Uint8Array>): Promise<UploadResponse> {
  const response = await fetch(app.url + path, {
    method: 'PUT',
    body,
    duplex: 'half',
  });
  return { status: response.status, json: (await response.json()) as UploadResponse['json'] };
}
async function post(path: string, form: FormData): Promise<UploadResponse> {
  const response = await fetch(app.url + path, { method: 'POST', body: form });
  return { status: response.status, json: (await response.json()) as UploadResponse['json'] };
}
function formOf(bytes: Uint8Array): FormData {
  const form = new FormData();
  form.append('image', new Blob([new Uint8Array(bytes)]), 'a.jpg');
  return form;
}
const BOUNDARY = 'x-boundary-x';
const FORM_HEAD = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="a"; filename="a.jpg"\r\n\r\n`;
/** Starts an upload without a content length. The caller ends the request. */
function startUpload(method: 'PUT' | 'POST', path: string): ClientRequest {
  const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
  const upload = request(app.url + path, { method, headers });
  if (method === 'POST') upload.write(FORM_HEAD);
  return upload;
}
/** Sizes of the temporary files. 0 for a file that was removed meanwhile. */
async function temporaryFileSizes(): Promise<number[]> {
  const folder = join(app.dataDir, 'images', 'incoming');
  const sizes = (await readdir(folder)).map((name) => stat(join(folder, name)).catch(nullIfNotFound));
  return (await Promise.all(sizes)).map((facts) => facts?.size ?? 0);
}

describe('an upload', () => {
  test('of an end user is refused while eight others are in progress', async () => {
    const { token } = await createClientToken(app, { endUserId: 'eve', scopes: ['images:write'] });
    const createLink = async () => {
      const { createUpload } = await app.query(CreateUploadDocument, { input: {} }, token);
      return pathAndQuery(createUpload.upload?.url);
    };
    const filesBefore = (await temporaryFileSizes()).length;
    const unfinished = await Promise.all(
      Array.from({ length: MAX_UPLOADS_PER_END_USER }, async () => startUpload('PUT', await createLink())),
    );
    for (const upload of unfinished) {
      upload.on('error', () => undefined);
      upload.write(photo.subarray(0, 100));
    }
    await waitFor(
      'the files',
      async () => (await temporaryFileSizes()).length >= filesBefore + MAX_UPLOADS_PER_END_USER,
    );
    const path = await createLink();
    expect(await put(path, photo)).toMatchObject({
      status: 429,
      json: { error: { code: 'TOO_MANY_CONNECTIONS' } },
    });
    for (const upload of unfinished) upload.destroy();
    await waitFor('room', async () => (await put(path, photo)).status === 201);
  });

  test('becomes an upright image without metadata, with a file name from its owner', async () => {
    const { imageId, path } = await createUploadLink('Holiday in Köln.JPG');
    const { status, json } = await put(path, photo);
    expect(status).toBe(201);
    expect(json.image).toMatchObject({ id: imageId, width: 20, height: 40, mimeType: 'image/jpeg' });
    const { headers, bytes } = await app.get(pathAndQuery(json.image?.url));
    expect(headers['content-disposition']).toBe('inline; filename="holiday-in-ko-ln.jpg"');
    const metadata = await sharp(bytes).metadata();
    expect({
      width: metadata.width,
      height: metadata.height,
      exif: metadata.exif,
      orientation: metadata.orientation,
    }).toEqual({
      width: 20,
      height: 40,
      exif: undefined,
      orientation: undefined,
    });
    const { image } = await app.query(ImageByIdDocument, { id: imageId });
    expect(image).toMatchObject({ id: imageId, index: 0, upstreamUrl: null, task: null, width: 20 });
    expect(image?.thumbhash).toEqual(expect.any(String));
  });

  test('has one file from the moment that it is normalized', async () => {
    const { path } = await createUploadLink();
    const before = (await temporaryFileSizes()).length;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its store
    const { put: putIntoStore } = DiskStore.prototype;
    const storing = jest.spyOn(DiskStore.prototype, 'put').mockImplementation(async function (
      this: DiskStore,
      ...args
    ) {
      await waitFor('one file', async () => (await temporaryFileSizes()).length === before + 1);
      await putIntoStore.apply(this, args);
    });
    try {
      expect((await put(path, photo)).status).toBe(201);
    } finally {
      storing.mockRestore();
    }
  });

  test('can be sent as a form with one file', async () => {
    const { imageId, path } = await createUploadLink();
    const form = new FormData();
    form.append('note', 'ignored');
    form.append('image', new Blob([new Uint8Array(photo)]), 'a.jpg');
    expect(await post(path, form)).toMatchObject({ status: 201, json: { image: { id: imageId } } });
  });

  test('returns the same image when it is sent again, even with other bytes', async () => {
    const { path } = await createUploadLink();
    const first = await put(path, photo);
    const other = await sharp({ create: { width: 9, height: 9, channels: 3, background: 'blue' } })
      .png()
      .toBuffer();
    expect(await put(path, other)).toEqual(first);
    const responses = await Promise.all([1, 2, 3].map(() => put(path, photo)));
    expect(responses).toEqual([first, first, first]);
    expect(await post(path, formOf(Buffer.alloc(150_000)))).toEqual(first);
  });

  test('creates one image when it is sent twice at once', async () => {
    const { path } = await createUploadLink();
    const [one, other] = await Promise.all([put(path, photo), put(path, photo)]);
    expect(one).toEqual(other);
    expect(one.status).toBe(201);
  });

  test('can be edited, and the edits form its lineage', async () => {
    const { imageId, path } = await createUploadLink();
    await put(path, photo);
    const edit = async (sourceImageId: string) => {
      const input = { prompt: 'paint it', sourceImageId };
      const { editImage } = await app.query(EditImageDocument, { input });
      return (await app.waitUntilSettled(editImage.task?.id ?? '')).images[0]?.id ?? '';
    };
    const children = [await edit(imageId), await edit(imageId)];
    const grandchild = await edit(children[0] ?? '');
    const { image } = await app.query(ImageLineageDocument, { id: imageId, first: 1 });
    expect(image?.parent).toBeNull();
    expect(image?.edits.nodes.map(({ id }) => id)).toEqual(children.slice(0, 1));
    expect(image?.edits.pageInfo.hasNextPage).toBe(true);
    const after = image?.edits.pageInfo.endCursor;
    const secondPage = await app.query(ImageLineageDocument, { id: imageId, after });
    expect(secondPage.image?.edits.nodes.map(({ id }) => id)).toEqual(children.slice(1));
    const lineage = await app.query(ImageLineageDocument, { id: grandchild });
    expect(lineage.image?.parent).toEqual({ id: children[0] });
  });
});

describe('an upload is rejected', () => {
  test.each<[string, () => Uint8Array]>([
    ['empty', () => new Uint8Array()],
    ['an HTML page', () => Buffer.from('<html><img src=x></html>')],
    ['an SVG, which can contain scripts', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['a truncated image', () => photo.subarray(0, 200)],
  ])('with 400 when it is %s, and the link can be used again', async (_description, bytes) => {
    const { path } = await createUploadLink();
    expect(await put(path, bytes())).toMatchObject({ status: 400, json: { error: { code: 'BAD_REQUEST' } } });
    expect((await put(path, photo)).status).toBe(201);
  });

  test('with 413 when it is too large, with or without a content length', async () => {
    const { path } = await createUploadLink();
    const large = Buffer.alloc(200_001);
    expect(await put(path, large)).toMatchObject({
      status: 413,
      json: { error: { code: 'PAYLOAD_TOO_LARGE' } },
    });
    const withoutLength = new Blob([large]).stream();
    expect(await put(path, withoutLength)).toMatchObject({ status: 413 });
    expect(await post(path, formOf(large))).toMatchObject({ status: 413 });
    expect((await put(path, photo)).status).toBe(201);
  });

  test.each(['PUT', 'POST'] as const)(
    'with 413 as soon as it grows too large, and a %s that continues to its end is read to its end',
    async (method) => {
      const { path } = await createUploadLink();
      const upload = startUpload(method, path);
      const responded = new Promise<IncomingMessage>((resolve, reject) => {
        upload.once('response', resolve).once('error', reject);
      });
      upload.write(Buffer.alloc(300_000));
      const response = await responded;
      expect(response.statusCode).toBe(413);
      const ended = new Promise((resolve, reject) => {
        response.resume().once('close', resolve).once('error', reject);
        upload.once('error', reject);
      });
      // More than the socket buffers of both sides can hold.
      await new Promise((resolve) => upload.end(Buffer.alloc(20_000_000), () => resolve(null)));
      await ended;
    },
  );

  test('with 403 without its token, with the token of another link, and for a malformed ID', async () => {
    const [one, other] = [await createUploadLink(), await createUploadLink()];
    const token = other.path.split('?')[1];
    for (const path of [
      `/uploads/${one.imageId}`,
      `/uploads/${one.imageId}?${token}`,
      `/uploads/nothing?${token}`,
    ]) {
      expect(await put(path, photo)).toMatchObject({
        status: 403,
        json: { error: { code: 'LINK_INVALID' } },
      });
    }
  });

  test('with 410 when the link has expired', async () => {
    const { imageId, path } = await createUploadLink();
    await app.rows("UPDATE uploads SET expires_at = now() - interval '1 second' WHERE id = $1", [imageId]);
    expect(await put(path, photo)).toMatchObject({ status: 410, json: { error: { code: 'GONE' } } });
  });

  test('with 400 when it is a form without a file, or another content type', async () => {
    const { path } = await createUploadLink();
    const form = new FormData();
    form.append('note', 'no file');
    expect((await post(path, form)).status).toBe(400);
    expect((await app.postBody(path, '{}')).status).toBe(400);
    const headers = { 'content-type': 'multipart/form-data' };
    expect((await app.postBody(path, FORM_HEAD, headers)).status).toBe(400);
  });

  test.each([
    [`a form of ${MAX_FORM_PARTS + 1} fields`, '\r\ncontent-disposition: form-data; name="a"\r\n\r\n'],
    ['a form of empty parts', '\r\n\r\n'],
  ])('with 400 when it is %s, before its end', async (_what, part) => {
    const { path } = await createUploadLink();
    const upload = request(app.url + path, {
      method: 'POST',
      headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    });
    upload.on('error', () => undefined);
    upload.write(`--${BOUNDARY}${`${part}\r\n--${BOUNDARY}`.repeat(MAX_FORM_PARTS + 1)}`);
    const [response] = (await once(upload, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(400);
    expect(await text(response)).toContain(`more than ${MAX_FORM_PARTS} parts`);
    upload.destroy();
    const form = new FormData();
    for (let count = 1; count < MAX_FORM_PARTS; count += 1) form.append('note', 'ignored');
    form.append('image', new Blob([new Uint8Array(photo)]), 'a.jpg');
    expect(await post(path, form)).toMatchObject({ status: 201 });
  });

  test('is not parsed to its end when it is a form of too many parts', async () => {
    const { path } = await createUploadLink();
    const parse = jest.spyOn(Busboy.prototype, 'write');
    try {
      const body = Buffer.from(`--${BOUNDARY}${`\r\n\r\n\r\n--${BOUNDARY}`.repeat(6_000)}--\r\n`);
      const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
      const { status } = await fetch(app.url + path, { method: 'POST', headers, body });
      expect(status).toBe(400);
      const parsed = parse.mock.calls.reduce((sum, [chunk]) => sum + (chunk as Buffer).length, 0);
      expect(parsed).toBeLessThan(8_000);
    } finally {
      parse.mockRestore();
    }
  });

  test.each(['PUT', 'POST'] as const)(
    'with 400 when a %s arrives in thousands of small pieces, and the link can be used again',
    async (method) => {
      const { path } = await createUploadLink();
      const files = (await temporaryFileSizes()).length;
      const { hostname, port } = new URL(app.url);
      const socket = connect(Number(port), hostname);
      let answer = '';
      socket.on('error', () => undefined).on('data', (bytes: Buffer) => (answer += bytes.toString()));
      socket.write(
        `${method} ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-type: multipart/form-data; boundary=${BOUNDARY}\r\n\r\n`,
      );
      socket.write(`${FORM_HEAD.length.toString(16)}\r\n${FORM_HEAD}\r\n`);
      socket.write('1\r\nx\r\n'.repeat(2 * MAX_SMALL_PIECES));
      await waitFor('the connection to close', () => socket.closed);
      expect(answer).toContain('400 Bad Request');
      expect((await put(path, photo)).status).toBe(201);
      await waitFor('no file', async () => (await temporaryFileSizes()).length <= files);
    },
  );

  test('with 400 when it is a truncated form', async () => {
    const { path } = await createUploadLink();
    const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
    const { status, json } = await app.postBody(path, `${FORM_HEAD}not the whole`, headers);
    expect([status, json]).toMatchObject([
      400,
      { error: { message: 'The form is malformed. Send multipart/form-data with one file.' } },
    ]);
  });

  test('before it is sent, when the file name is invalid or the API key lacks the scope', async () => {
    const { createUpload } = await app.query(CreateUploadDocument, { input: { fileName: 'x'.repeat(256) } });
    expect(createUpload).toMatchObject({ upload: null, userErrors: [{ code: 'INVALID_FILE_NAME' }] });
    const [row] = await app.rows<{ id: string }>('SELECT id FROM workspaces LIMIT 1');
    const readOnlyApiKey = await addKey(app, row?.id ?? '', ['tasks:read']);
    const { errors } = await app.execute(CreateUploadDocument, { input: {} }, readOnlyApiKey);
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('a damaged image', () => {
  const noise = () => {
    const pixels = Buffer.from(Array.from({ length: 100 * 100 * 3 }, (_, at) => (at * 7919) % 251));
    return sharp(pixels, { raw: { width: 100, height: 100, channels: 3 } });
  };

  test('is accepted if viewers show it, such as a JPEG without its end', async () => {
    const { path } = await createUploadLink();
    const { status, json } = await put(path, (await noise().jpeg().toBuffer()).subarray(0, -2));
    expect(status).toBe(201);
    expect((await app.get(pathAndQuery(json.image?.url))).status).toBe(200);
  });

  test('is answered with 400 otherwise, such as a PNG with a wrong checksum, and the disk is not blamed', async () => {
    const bytes = await noise().png().toBuffer();
    const checksum = bytes.lastIndexOf('IEND') - 8;
    bytes.fill(0x5a, checksum, checksum + 4);
    const { path } = await createUploadLink();
    expect(await put(path, bytes)).toMatchObject({
      status: 400,
      json: { error: { code: 'BAD_REQUEST', message: expect.stringContaining('the png is damaged') } },
    });
    expect((await put(path, photo)).status).toBe(201);
  });
});

test('another workspace cannot read or edit an upload', async () => {
  const otherApiKey = await addWorkspaceWithKey(app);
  const { imageId, path } = await createUploadLink();
  await put(path, photo);
  expect((await app.query(ImageByIdDocument, { id: imageId }, otherApiKey)).image).toBeNull();
  const input = { prompt: 'foreign', sourceImageId: imageId };
  const { editImage } = await app.query(EditImageDocument, { input }, otherApiKey);
  expect(editImage.userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
});

test.each(['PUT', 'POST'] as const)(
  'a %s whose client disconnects leaves no files, and the link can be used again',
  async (method) => {
    const { path } = await createUploadLink();
    const upload = startUpload(method, path).on('error', () => undefined);
    upload.write(photo);
    await waitFor('the first bytes', async () => (await temporaryFileSizes()).some((size) => size > 0));
    upload.destroy();
    await waitFor('the files to be removed', async () => (await temporaryFileSizes()).length === 0);
    expect((await put(path, photo)).status).toBe(201);
    expect(app.logLines.filter((line) => line.includes('a request failed'))).toEqual([]);
  },
);

test('no temporary files are left', async () => {
  expect(await temporaryFileSizes()).toEqual([]);
});

describe('parallel uploads to one link', () => {
  afterEach(() => void jest.restoreAllMocks());
  const incomingCount = async () => (await readdir(join(app.dataDir, 'images', 'incoming'))).length;
  /** Starts an upload that never ends by itself. */
  const startEndless = (path: string) => {
    let stop = () => {};
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(photo.subarray(0, 100));
        stop = () => controller.error(new Error('stopped'));
      },
    });
    const response = put(path, body).catch(() => null);
    return { response, stop };
  };

  test('hold one file at a time, because a newer one replaces the one before', async () => {
    const { path } = await createUploadLink();
    const before = await incomingCount();
    const uploads = [startEndless(path)];
    await waitFor('the first upload', async () => (await incomingCount()) > before);
    const receive = jest.spyOn(Uploads.prototype, 'receive');
    for (let count = 1; count <= 10; count += 1) uploads.push(startEndless(path));
    // Each has its own connection, so they arrive in any order.
    await waitFor('all of them', () => receive.mock.calls.length === 10);
    const { status, json } = await put(path, photo);
    expect(status).toBe(201);
    const replaced = await Promise.all(uploads.map(({ response }) => response));
    expect(new Set(replaced.map((ended) => ended?.json.image?.id))).toEqual(new Set([json.image?.id]));
    expect(await incomingCount()).toBe(before);
    for (const { stop } of uploads) stop();
  });

  test('do not replace one that arrived later, even if PostgreSQL answers it first', async () => {
    const { path } = await createUploadLink();
    const find = jest.spyOn(UploadRepository.prototype, 'find');
    let answer = () => {};
    const isLater = new Promise<void>((resolve) => (answer = resolve));
    find.mockImplementationOnce(async function (this: UploadRepository, id) {
      const upload = await this.find(id);
      await isLater;
      return upload;
    });
    const before = await incomingCount();
    const older = startEndless(path);
    await waitFor('the older upload', () => find.mock.calls.length > 0);
    const newer = startEndless(path);
    await waitFor('the newer upload', async () => (await incomingCount()) > before);
    answer();
    newer.stop();
    expect((await older.response)?.status).toBe(429);
    older.stop();
  });

  test('fail with 429 when the one that replaced them is not an image', async () => {
    const { path } = await createUploadLink();
    const before = await incomingCount();
    const { response, stop } = startEndless(path);
    await waitFor('the first upload', async () => (await incomingCount()) > before);
    expect((await put(path, Buffer.from('not an image'))).status).toBe(400);
    expect(await response).toMatchObject({ status: 429, json: { error: { code: 'TOO_MANY_CONNECTIONS' } } });
    expect((await put(path, photo)).status).toBe(201);
    stop();
  });

  test('of the same image all get it', async () => {
    const { imageId, path } = await createUploadLink();
    await put(path, photo);
    const responses = await Promise.all(Array.from({ length: 5 }, () => put(path, photo)));
    expect(responses.map(({ json }) => json.image?.id)).toEqual(Array.from({ length: 5 }, () => imageId));
  });
});
