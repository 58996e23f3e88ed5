import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { TIMED_OUT, withTimeout } from '../../../src/core/primitives/async.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome.exe'];
const TIMEOUT_MS = 300_000;
export const HOW_TO_INSTALL =
  'Chromium is missing. Install it, on Debian with `apt-get install chromium`, or set CHROMIUM_PATH to its executable.';

/** What Chromium shows of an image. */
export interface Shown {
  /** The element's `load` event, which only needs the header. */
  loads: boolean;
  height: number;
  /** Rows from the top down to the last one that has a painted pixel. */
  rows: number;
  /** ImageDecoder, which refuses damage that the element hides, decodes the first frame. */
  strict: boolean;
}

/** The path of Chromium, or null without it. */
export function findChromium(): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const candidates = [
    process.env.CHROMIUM_PATH ?? '',
    ...NAMES.flatMap((name) => folders.map((folder) => join(folder, name))),
  ];
  return candidates.find((path) => path !== '' && existsSync(path)) ?? null;
}

/** Draws each image in headless Chromium, through a page on the loopback interface. */
export async function showInChromium(
  executable: string,
  images: ReadonlyMap<string, { bytes: Buffer; type: string }>,
): Promise<Map<string, Shown>> {
  let onResult: (json: string) => void = () => undefined;
  const result = new Promise<string>((resolve) => (onResult = resolve));
  const server = createServer((request, response) => {
    const name = decodeURIComponent((request.url ?? '').slice(1));
    const image = images.get(name);
    if (request.method === 'POST') {
      void text(request).then(onResult);
      response.end();
    } else if (image) response.setHeader('content-type', image.type).end(image.bytes);
    else response.setHeader('content-type', 'text/html').end(page([...images.keys()]));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const profile = await mkdtemp(join(tmpdir(), 'darkroom-chromium-'));
  const flags = ['--headless', '--disable-gpu', '--no-first-run', '--disable-background-networking'];
  const isRoot = process.getuid?.() === 0;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const chromium = spawn(
    executable,
    [
      ...flags,
      ...(isRoot ? ['--no-sandbox'] : []),
      '--disable-sync',
      '--disable-component-update',
      `--user-data-dir=${profile}`,
      url,
    ],
    // A group of its own, so that all its processes can be ended.
    { stdio: 'ignore', detached: true },
  );
  const exited = once(chromium, 'exit');
  try {
    const json = await withTimeout(result, TIMEOUT_MS);
    if (json === TIMED_OUT) throw new Error('Chromium did not show the images in 5 minutes.');
    return new Map(Object.entries(JSON.parse(json) as Record<string, Shown>));
  } finally {
    if (chromium.pid !== undefined && chromium.exitCode === null) process.kill(-chromium.pid, 'SIGKILL');
    await exited;
    server.closeAllConnections();
    server.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

function page(names: string[]): string {
  return `<!doctype html><script>
    const show = async (name) => {
      const image = new Image();
      const loads = await new Promise((resolve) => {
        image.onload = () => resolve(true);
        image.onerror = () => resolve(false);
        image.src = '/' + encodeURIComponent(name);
      });
      const { naturalWidth: width, naturalHeight: height } = image;
      let rows = 0;
      if (loads && width * height > 0) {
        const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        const { data } = context.getImageData(0, 0, width, height);
        for (let at = 3; at < data.length; at += 4) if (data[at] > 0) rows = Math.floor(at / 4 / width) + 1;
      }
      const response = await fetch('/' + encodeURIComponent(name));
      const options = { data: await response.arrayBuffer(), type: response.headers.get('content-type') };
      const strict = await (async () => {
        const decoder = new ImageDecoder(options);
        (await decoder.decode()).image.close();
        decoder.close();
        return true;
      })().catch(() => false);
      return { loads, height, rows, strict };
    };
    (async () => {
      const shown = {};
      for (const name of ${JSON.stringify(names)}) shown[name] = await show(name);
      await fetch('/', { method: 'POST', body: JSON.stringify(shown) });
    })();
  </script>`;
}
