/** `npm run check:drift`: exits with 1, and prints the difference, when schema.prisma and the migrations do not say the same. */
import { diffOfSchemaAndMigrations } from './db-scratch.js';

const sql = await diffOfSchemaAndMigrations();
if (sql === '') {
  console.log('prisma/schema.prisma and prisma/migrations agree.');
  process.exit(0);
}
console.error(`${sql}\n`);
console.error(
  'The SQL above leads from prisma/migrations to prisma/schema.prisma: they differ. If the schema is right, write',
);
console.error(
  'the missing migration with "npm run db:new <name>". If the migrations are right, change the schema.',
);
process.exit(1);
