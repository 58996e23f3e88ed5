import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { DatabaseUnavailable } from '../../src/core/errors.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Spool } from '../../src/storage/spool.js';
import { SpoolDrain } from '../../src/storage/spool-drain.js';
import { waitFor } from '../support/wait-for.js';

test('a value whose statement always takes too long does not keep the values of other tasks from being applied', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-drain-'));
  const spool = new Spool(folder);
  const taskIds = Array.from({ length: 20 }, () => newId());
  for (const id of taskIds) await spool.write(`${id}-1`, { id });
  const stuck = new Set(taskIds.slice(0, 5));
  const applied = new Set<string>();
  const drain = new SpoolDrain({
    spool,
    log: pino({ level: 'silent' }),
    subject: 'a test',
    apply: (value) => {
      const { id } = value as { id: string };
      if (stuck.has(id)) return Promise.reject(new DatabaseUnavailable());
      applied.add(id);
      return Promise.resolve();
    },
  });
  await drain.load();
  await waitFor('the others', () => applied.size === taskIds.length - stuck.size);
  await waitFor('their files to be removed', () => drain.state.waiting === stuck.size);
  await drain.stop();
  await rm(folder, { recursive: true });
}, 60_000);

test('a file that has vanished is logged', async () => {
  const lines: string[] = [];
  const drain = new SpoolDrain({
    spool: new Spool(join(tmpdir(), newId())),
    log: pino({}, { write: (line: string) => lines.push(line) }),
    subject: 'a test',
    apply: () => Promise.reject(new Error('there is nothing to apply')),
  });
  const name = `${newId()}-1`;
  drain.addFailed(name, new Error('a cause'));
  await waitFor('the file to be forgotten', () => drain.state.failed === 0);
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { name, msg: 'a file in the spool could not be applied' },
    { name, msg: 'a file in the spool has vanished' },
  ]);
  await drain.stop();
});
