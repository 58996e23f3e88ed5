/**
 * `npm run db:new <name>`: writes a migration with the difference between schema.prisma and the existing migrations. Review it,
 * and add by hand what Prisma cannot express (triggers, functions, CHECKs, partial indexes). Applies nothing.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { diffSchemaAgainstMigrations, MIGRATIONS_DIR } from './migrated-schema-diff.js';

const migrationName = process.argv[2] ?? '';
if (!/^[a-z0-9]+(_[a-z0-9]+)*$/.test(migrationName)) {
  console.error(
    'Usage: npm run db:new <name>. The name is lower-case words joined by underscores, such as add_image_width.',
  );
  process.exit(1);
}

const sql = await diffSchemaAgainstMigrations();
if (sql === '') {
  console.log(
    'prisma/schema.prisma and prisma/migrations agree, so no migration was written. Change the schema first.',
  );
  console.log('To write a migration by hand, create the folder prisma/migrations/<YYYYMMDDHHMMSS>_<name>');
  console.log('with a file migration.sql.');
  process.exit(0);
}

const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 'YYYYMMDDHHMMSS'.length);
const folder = join(MIGRATIONS_DIR, `${timestamp}_${migrationName}`);
await mkdir(folder, { recursive: true });
await writeFile(join(folder, 'migration.sql'), `${sql}\n`);
// Prisma's tools read the SQL dialect from this file.
await writeFile(join(MIGRATIONS_DIR, 'migration_lock.toml'), 'provider = "postgresql"\n', {
  flag: 'wx',
}).catch((error: NodeJS.ErrnoException) => {
  if (error.code !== 'EEXIST') throw error;
});
console.log(
  `Wrote ${join(relative('.', folder), 'migration.sql')}. Review it, then apply it with "npm run db:migrate".`,
);
