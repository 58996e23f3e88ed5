/**
 * `npm run db:new <name>`: writes what schema.prisma says beyond the migrations as a new migration, to be read, and added
 * to by hand where Prisma has no words (triggers, functions, CHECKs, partial indexes). Applies nothing.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { diffOfSchemaAndMigrations, MIGRATIONS_DIR } from './db-scratch.js';

const name = process.argv[2] ?? '';
if (!/^[a-z0-9]+(_[a-z0-9]+)*$/.test(name)) {
  console.error(
    'Usage: npm run db:new <name>, where the name is lower case words joined by underscores: add_image_width',
  );
  process.exit(1);
}

const sql = await diffOfSchemaAndMigrations();
if (sql === '') {
  console.log(
    'prisma/schema.prisma says nothing that the migrations do not: nothing was written. Change the schema first.',
  );
  console.log(
    'For a migration that is all by hand, make the folder prisma/migrations/<YYYYMMDDHHMMSS>_<name> yourself,',
  );
  console.log('with a migration.sql in it.');
  process.exit(0);
}

const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 'YYYYMMDDHHMMSS'.length);
const folder = join(MIGRATIONS_DIR, `${timestamp}_${name}`);
await mkdir(folder, { recursive: true });
await writeFile(join(folder, 'migration.sql'), `${sql}\n`);
// Prisma's tools want to know whose SQL this is.
await writeFile(join(MIGRATIONS_DIR, 'migration_lock.toml'), 'provider = "postgresql"\n', {
  flag: 'wx',
}).catch((error: NodeJS.ErrnoException) => {
  if (error.code !== 'EEXIST') throw error;
});
console.log(
  `${relative('.', folder)}/migration.sql written. Read it, then apply it with "npm run db:migrate".`,
);
