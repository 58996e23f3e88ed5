/** Part of `npm run check:drift`: exits with code 1 and prints the difference when schema.prisma and the migrations differ. */
import { diffSchemaAgainstMigrations } from './migrated-schema-diff.js';

const sql = await diffSchemaAgainstMigrations();
if (sql === '') {
  console.log('prisma/schema.prisma and prisma/migrations agree.');
  process.exit(0);
}
console.error(`${sql}\n`);
console.error(
  'prisma/schema.prisma and prisma/migrations differ. The SQL above changes the migrations to match the schema.',
);
console.error(
  'If the schema is right, write that migration with "npm run db:new <name>". Otherwise change the schema.',
);
process.exit(1);
