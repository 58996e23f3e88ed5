import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp } from '../support/app/test-app.js';
import { type RecordedAnswer, sendRecordedRequest } from '../support/clients/recorded-request.js';
import { parseEvents } from '../support/events/server-sent-events.js';

/**
 * Requests that PowerShell makes from the commands of docs/RUNTIMES.md, byte by byte. PowerShell is not installed here: their heads
 * and encodings were written from what its documentation and its users report.
 */

const UTF8 = "Münchner 猫 🙂 it's <new>";

/** A request that must generate an image from this prompt. */
const ACCEPTED: [recording: string, what: string][] = [
  ['powershell-5-graphql-utf8-bytes', 'UTF-8 as bytes'],
  ['powershell-5-graphql-utf8-file-with-mark', 'a file in UTF-8 with a byte order mark'],
  ['powershell-7-graphql-utf8-string', 'a string in UTF-8'],
  ['powershell-5-flux-utf8-bytes', 'UTF-8 as bytes'],
  ['powershell-5-flux-utf8-file-with-mark', 'a file in UTF-8 with a byte order mark'],
  ['powershell-7-flux-utf8-string', 'a string in UTF-8'],
];

const LATIN1 = /not valid UTF-8 at byte \d+ \(0xFC\)/;
const UTF16 = /UTF-16/;
/** Each is refused with 400 or another status, and with a message that says what to do. */
const REFUSED: [recording: string, message: RegExp, status?: number][] = [
  ['powershell-5-graphql-latin1-string', LATIN1],
  ['powershell-5-graphql-utf16-file', UTF16],
  ['powershell-5-graphql-utf16-big-endian-file', UTF16],
  ['powershell-5-graphql-without-content-type', /specify a 'content-type' header/],
  ['powershell-5-graphql-depth-of-two', /GenerateImagesInput/],
  ['powershell-5-curl-without-quotes', /not valid JSON/],
  ['powershell-5-flux-latin1-string', LATIN1],
  ['powershell-5-flux-utf16-file', UTF16],
  ['powershell-5-flux-utf16-big-endian-file', UTF16],
  ['powershell-5-flux-without-content-type', /application\/json/],
];
const STREAMS = ['powershell-5-stream', 'powershell-7-stream'];

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

const send = (recording: string, values: Record<string, string> = {}) =>
  sendRecordedRequest(app.url, recording, { key: app.apiKey, ...values });

async function prompts(): Promise<string[]> {
  const rows = await app.rows<{ prompt: string }>('SELECT prompt FROM tasks ORDER BY id');
  return rows.map(({ prompt }) => prompt);
}

test('every recorded request is sent', () => {
  const recordings = readdirSync('test/clients/requests').map((file) => file.replace(/\.http$/, ''));
  expect(
    [...ACCEPTED, ...REFUSED]
      .map(([recording]) => recording)
      .concat(STREAMS)
      .sort(),
  ).toEqual(recordings.sort());
});

describe('generates one image from', () => {
  test.each(ACCEPTED)('%s: %s', async (recording) => {
    const before = await prompts();
    const answer = await send(recording);
    expect(answer.status).toBe(200);
    expectReadable(answer);
    expect((await prompts()).slice(before.length)).toEqual([UTF8]);
    expect(answer.wasContinued).toBe(recording.startsWith('powershell-5'));
  });
});

describe('refuses with a clear message, and makes nothing from', () => {
  test.each(REFUSED)('%s', async (recording, message, status = 400) => {
    const before = await prompts();
    const answer = await send(recording);
    expect({ status: answer.status, text: answer.body.toString() }).toEqual({
      status,
      text: expect.stringMatching(message) as unknown,
    });
    expectReadable(answer);
    expect(await prompts()).toEqual(before);
  });
});

test.each(STREAMS)('%s reads every event of a task to its end', async (recording) => {
  const { id, eventCursor } = await app.generate({ prompt: UTF8 });
  const answer = await send(recording, { id, cursor: eventCursor });
  expect(answer.status).toBe(200);
  const events = parseEvents(answer.body.toString());
  expect(events.pop()).toMatchObject({ event: 'complete' });
  const history = await app.history(id);
  expect(events.map(({ data = '' }) => (JSON.parse(data) as { type: string }).type)).toEqual(
    history.map(({ type }) => type),
  );
  expect(history.at(-1)?.type).toBe('IMAGE_STORED');
  expectReadable(answer);
});

/** Windows PowerShell reads a response as Latin-1 unless its type names another encoding. */
function expectReadable({ headers }: RecordedAnswer): void {
  expect(headers.get('content-type')).toMatch(/; ?charset=utf-8/i);
}
