import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

/** Allocates and drops 75 MB of buffers of 64 kB in some seconds, and prints the most that they took. */
const measure = (preparation: string) => `
  ${preparation}
  let [rounds, most] = [0, 0];
  const timer = setInterval(() => {
    for (let count = 0; count < 4; count += 1) Buffer.from(new ArrayBuffer(65_536)).fill(1);
    most = Math.max(most, process.memoryUsage().arrayBuffers);
    if ((rounds += 1) === 300) {
      clearInterval(timer);
      console.log(most);
    }
  }, 10);`;
const LIMITED = `import { limitBufferGarbage } from './src/app/buffer-memory.ts'; limitBufferGarbage();`;

async function mostBytesWith(preparation: string): Promise<number> {
  const args = ['--import', './test/support/setup/typescript.mjs', '--input-type=module'];
  const { stdout } = await promisify(execFile)(process.execPath, [...args, '-e', measure(preparation)]);
  return Number(stdout);
}

test('dropped buffers take far less than V8 lets them take', async () => {
  const bytes = await mostBytesWith('');
  expect(await mostBytesWith(LIMITED)).toBeLessThan(0.7 * bytes);
});
