/** `npm run generate:prisma`: generates the database client in src/db/generated from prisma/schema.prisma, if it has changed. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitLike, runNode } from './child.mjs';
import { withLock } from './lock.mjs';
import { fingerprint, programOf, readStamp, ROOT } from './project.mjs';

const OUTPUT = join(ROOT, 'src', 'db', 'generated');
const STAMP = join(OUTPUT, '.made-from');

await withLock('generate:prisma', async () => {
  const madeFrom = fingerprint(['prisma/schema.prisma', 'node_modules/prisma/package.json']);
  if (readStamp(STAMP) === madeFrom && existsSync(join(OUTPUT, 'client.ts'))) return;
  const outcome = await runNode([programOf('prisma', 'build/index.js'), 'generate'], {
    env: {
      // Prisma downloads this engine if the variable names no file. It is not needed to generate a client.
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (outcome.code === 0) return writeFileSync(STAMP, madeFrom);
  console.error(outcome.output);
  exitLike(outcome);
});
