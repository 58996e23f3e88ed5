import { readdir, stat } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import {
  CreateUploadDocument,
  EditImageDocument,
  ImageByIdDocument,
  LineageDocument,
} from '../../../clients/operations.js';
import { nullWhenAbsent } from '../../../src/storage/incoming-files.js';
import { pathOf, TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

let app: TestApp;
let photo: Buffer;
beforeAll(async () => {
  app = await TestApp.start({ environment: { MAX_IMAGE_BYTES: '200000' } });
  // 40 x 20, to be turned by a quarter, and with a place in its metadata.
  photo = await sharp({ create: { width: 40, height: 20, channels: 3, background: 'red' } })
    .withExif({ IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '48/1 8/1 0/1' } })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer();
});
afterAll(() => app.stop());

interface Sent {
  status: number;
  json: {
    image?: { id: string; url: string; width: number; height: number; mimeType: string };
    error?: { code: string };
  };
}
async function link(fileName?: string, key?: string): Promise<{ imageId: string; path: string }> {
  const { createUpload } = await app.query(CreateUploadDocument, { input: { fileName } }, key);
  return { imageId: createUpload.upload?.imageId ?? '', path: pathOf(createUpload.upload?.url) };
}
async function put(path: string, body: Uint8Array | ReadableStream<Uint8Array>): Promise<Sent> {
  const response = await fetch(app.url + path, {
    method: 'PUT',
    body,
    duplex: 'half',
  });
  return { status: response.status, json: (await response.json()) as Sent['json'] };
}
async function post(path: string, form: FormData): Promise<Sent> {
  const response = await fetch(app.url + path, { method: 'POST', body: form });
  return { status: response.status, json: (await response.json()) as Sent['json'] };
}
function formOf(bytes: Uint8Array): FormData {
  const form = new FormData();
  form.append('picture', new Blob([new Uint8Array(bytes)]), 'a.jpg');
  return form;
}
const BOUNDARY = 'x-boundary-x';
const FORM_HEAD = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="a"; filename="a.jpg"\r\n\r\n`;
/** An upload whose length is not told, and that its sender ends when it likes. */
function begin(method: 'PUT' | 'POST', path: string): ClientRequest {
  const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
  const sending = request(app.url + path, { method, headers });
  if (method === 'POST') sending.write(FORM_HEAD);
  return sending;
}
/** Sizes of the temporary files; 0 for one that has just been removed. */
async function incoming(): Promise<number[]> {
  const folder = join(app.dataDir, 'images', 'incoming');
  const sizes = (await readdir(folder)).map((name) => stat(join(folder, name)).catch(nullWhenAbsent));
  return (await Promise.all(sizes)).map((facts) => facts?.size ?? 0);
}

describe('an upload', () => {
  test('becomes an image: upright, without its metadata, named by its owner', async () => {
    const { imageId, path } = await link('Holiday in Köln.JPG');
    const { status, json } = await put(path, photo);
    expect(status).toBe(201);
    expect(json.image).toMatchObject({ id: imageId, width: 20, height: 40, mimeType: 'image/jpeg' });
    const { headers, bytes } = await app.get(pathOf(json.image?.url));
    expect(headers['content-disposition']).toBe('inline; filename="holiday-in-ko-ln.jpg"');
    const facts = await sharp(bytes).metadata();
    expect({
      width: facts.width,
      height: facts.height,
      exif: facts.exif,
      orientation: facts.orientation,
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

  test('can come as a form with one file', async () => {
    const { imageId, path } = await link();
    const form = new FormData();
    form.append('note', 'passed over');
    form.append('picture', new Blob([new Uint8Array(photo)]), 'a.jpg');
    expect(await post(path, form)).toMatchObject({ status: 201, json: { image: { id: imageId } } });
  });

  test('sent again gives the same image, and other bytes change nothing', async () => {
    const { path } = await link();
    const first = await put(path, photo);
    const other = await sharp({ create: { width: 9, height: 9, channels: 3, background: 'blue' } })
      .png()
      .toBuffer();
    expect(await put(path, other)).toEqual(first);
    const answers = await Promise.all([1, 2, 3].map(() => put(path, photo)));
    expect(answers).toEqual([first, first, first]);
    expect(await post(path, formOf(Buffer.alloc(150_000)))).toEqual(first);
  });

  test('at the same time from two sides is one image', async () => {
    const { path } = await link();
    const [one, other] = await Promise.all([put(path, photo), put(path, photo)]);
    expect(one).toEqual(other);
    expect(one.status).toBe(201);
  });

  test('can be edited, and what came of it is its lineage', async () => {
    const { imageId, path } = await link();
    await put(path, photo);
    const edit = async (sourceImageId: string) => {
      const input = { prompt: 'paint it', sourceImageId };
      const { editImage } = await app.query(EditImageDocument, { input });
      return (await app.settled(editImage.task?.id ?? '')).images[0]?.id ?? '';
    };
    const children = [await edit(imageId), await edit(imageId)];
    const grandchild = await edit(children[0] ?? '');
    const { image } = await app.query(LineageDocument, { id: imageId, first: 1 });
    expect(image?.parent).toBeNull();
    expect(image?.edits.nodes.map(({ id }) => id)).toEqual(children.slice(0, 1));
    expect(image?.edits.pageInfo.hasNextPage).toBe(true);
    const after = image?.edits.pageInfo.endCursor;
    const rest = await app.query(LineageDocument, { id: imageId, after });
    expect(rest.image?.edits.nodes.map(({ id }) => id)).toEqual(children.slice(1));
    const last = await app.query(LineageDocument, { id: grandchild });
    expect(last.image?.parent).toEqual({ id: children[0] });
  });
});

describe('an upload is refused', () => {
  test.each<[string, () => Uint8Array]>([
    ['nothing', () => new Uint8Array()],
    ['a page', () => Buffer.from('<html><img src=x></html>')],
    ['a drawing that could hold a script', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['a picture that was cut', () => photo.subarray(0, 200)],
  ])('with 400 when it is %s, and the link can be used again', async (_what, bytes) => {
    const { path } = await link();
    expect(await put(path, bytes())).toMatchObject({ status: 400, json: { error: { code: 'BAD_REQUEST' } } });
    expect((await put(path, photo)).status).toBe(201);
  });

  test('with 413 when it is too large, told or not', async () => {
    const { path } = await link();
    const large = Buffer.alloc(200_001);
    expect(await put(path, large)).toMatchObject({
      status: 413,
      json: { error: { code: 'PAYLOAD_TOO_LARGE' } },
    });
    const untold = new Blob([large]).stream();
    expect(await put(path, untold)).toMatchObject({ status: 413 });
    expect(await post(path, formOf(large))).toMatchObject({ status: 413 });
    expect((await put(path, photo)).status).toBe(201);
  });

  test.each(['PUT', 'POST'] as const)(
    'with 413 as soon as it grows too large, and to a %s that goes on to its end first too',
    async (method) => {
      const { path } = await link();
      const sending = begin(method, path);
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        sending.once('response', resolve).once('error', reject);
      });
      sending.write(Buffer.alloc(300_000));
      const answer = await answered;
      expect(answer.statusCode).toBe(413);
      const ended = new Promise((resolve, reject) => {
        answer.resume().once('close', resolve).once('error', reject);
        sending.once('error', reject);
      });
      // More than the buffers of both sides hold.
      await new Promise((resolve) => sending.end(Buffer.alloc(20_000_000), () => resolve(null)));
      await ended;
    },
  );

  test('without its token, with that of another link, and for an id of no link', async () => {
    const [one, other] = [await link(), await link()];
    const token = other.path.split('?')[1];
    for (const path of [
      `/uploads/${one.imageId}`,
      `/uploads/${one.imageId}?${token}`,
      `/uploads/nothing?${token}`,
    ]) {
      expect(await put(path, photo)).toMatchObject({
        status: 403,
        json: { error: { code: 'LINK_REFUSED' } },
      });
    }
  });

  test('with 410 when the link has expired', async () => {
    const { imageId, path } = await link();
    await app.rows("UPDATE uploads SET expires_at = now() - interval '1 second' WHERE id = $1", [imageId]);
    expect(await put(path, photo)).toMatchObject({ status: 410, json: { error: { code: 'GONE' } } });
  });

  test('as a form without a file, or as something else', async () => {
    const { path } = await link();
    const form = new FormData();
    form.append('note', 'no file');
    expect((await post(path, form)).status).toBe(400);
    expect((await app.send(path, '{}')).status).toBe(400);
    const headers = { 'content-type': 'multipart/form-data' };
    expect((await app.send(path, FORM_HEAD, headers)).status).toBe(400);
  });

  test('as a form that is cut', async () => {
    const { path } = await link();
    const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
    const { status, json } = await app.send(path, `${FORM_HEAD}not the whole`, headers);
    expect([status, json]).toMatchObject([400, { error: { message: 'The form cannot be read.' } }]);
  });

  test('before it is sent, when the name cannot be or the key may not', async () => {
    const { createUpload } = await app.query(CreateUploadDocument, { input: { fileName: 'x'.repeat(256) } });
    expect(createUpload).toMatchObject({ upload: null, userErrors: [{ code: 'INVALID_FILE_NAME' }] });
    const [row] = await app.rows<{ id: string }>('SELECT id FROM workspaces LIMIT 1');
    const reader = await addKey(app, row?.id ?? '', ['tasks:read']);
    const { errors } = await app.post(CreateUploadDocument, { input: {} }, reader);
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'FORBIDDEN' });
  });
});

test('another workspace does not see an upload, and cannot edit it', async () => {
  const other = await addWorkspace(app);
  const { imageId, path } = await link();
  await put(path, photo);
  expect((await app.query(ImageByIdDocument, { id: imageId }, other)).image).toBeNull();
  const input = { prompt: 'foreign', sourceImageId: imageId };
  const { editImage } = await app.query(EditImageDocument, { input }, other);
  expect(editImage.userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
});

test.each(['PUT', 'POST'] as const)(
  'nothing is left of a %s whose sender goes away, and the link can be used again',
  async (method) => {
    const { path } = await link();
    const sending = begin(method, path).on('error', () => undefined);
    sending.write(photo);
    await waitFor('the first bytes', async () => (await incoming()).some((size) => size > 0));
    sending.destroy();
    await waitFor('the files to be gone', async () => (await incoming()).length === 0);
    expect((await put(path, photo)).status).toBe(201);
    expect(app.logged.filter((line) => line.includes('a request failed'))).toEqual([]);
  },
);

test('nothing is left of what was sent but the pictures', async () => {
  expect(await incoming()).toEqual([]);
});
