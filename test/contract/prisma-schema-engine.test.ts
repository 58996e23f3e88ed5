import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg';
import { diffSchema } from '../../scripts/prisma-schema-diff.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';

/** The internals of Prisma that scripts/prisma-schema-diff.ts uses. migrate.test.ts tests what it does with them. */

const EXPECTED_VERSIONS = {
  '@prisma/schema-engine-wasm': '7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3',
  '@prisma/adapter-pg': '7.10.0',
  '@prisma/driver-adapter-utils': '7.10.0',
};

const { resolve } = createRequire(import.meta.url);
const GLUE = '@prisma/schema-engine-wasm/schema_engine_bg';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database.drop();
});

test.each(Object.entries(EXPECTED_VERSIONS))(
  'the installed %s is the version that prisma-schema-diff.ts was written for',
  (name, expected) => {
    // Prisma's packages do not export their package.json.
    const entry = resolve(GLUE.startsWith(name) ? GLUE : name);
    const folder = entry.slice(0, entry.lastIndexOf(name) + name.length);
    const manifest = readFileSync(`${folder}/package.json`, 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    if (version !== expected)
      throw new Error(
        `${name} ${expected} is what scripts/prisma-schema-diff.ts was written for, and ${version} is installed. Read that file, ` +
          'check that its loader and its adapter still work, then change the version here.',
      );
  },
);

test('the engine has its WebAssembly beside its JavaScript, which takes the instance through __wbg_set_wasm', () => {
  expect(existsSync(resolve(GLUE).replace(/\.js$/, '.wasm'))).toBe(true);
  expect(typeof engine.__wbg_set_wasm).toBe('function');
  expect(typeof engine.SchemaEngine.new).toBe('function');
});

test('the engine reads the migrated database, and finds that it matches the schema', async () => {
  expect(await diffSchema({ databaseUrl: database.url, schemaFile: 'prisma/schema.prisma' })).toBe('');
});

test('the adapter for pg still rejects columns of type "char", which prisma-schema-diff.ts makes it support', async () => {
  const adapter = await new PrismaPg({ connectionString: database.url }).connect();
  try {
    const query = { sql: `SELECT 'p'::"char" AS kind`, args: [], argTypes: [] };
    await expect(adapter.queryRaw(query)).rejects.toMatchObject({
      cause: { kind: 'UnsupportedNativeDataType' },
    });
  } finally {
    await adapter.dispose();
  }
});
