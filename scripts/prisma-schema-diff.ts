import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import {
  ColumnTypeEnum,
  bindMigrationAwareSqlAdapterFactory,
  type SqlMigrationAwareDriverAdapterFactory,
} from '@prisma/driver-adapter-utils';
import type * as Engine from '@prisma/schema-engine-wasm/schema_engine_bg';
import { Pool, type QueryArrayResult, type QueryConfig } from 'pg';

type EngineModule = typeof Engine;

/** Available in Node, but TypeScript only declares it for browsers. */
declare const WebAssembly: {
  instantiate(
    program: Uint8Array,
    imports: object,
  ): Promise<{ instance: { exports: Record<string, unknown> } }>;
};

/**
 * Returns the SQL that changes the database at `databaseUrl`, which must be migrated, to match the Prisma schema in `schemaFile`.
 * Empty when they agree. Only reads. Uses Prisma's schema engine as WebAssembly, because the Prisma CLI downloads its engine at
 * start, which fails without network access.
 *
 * Prisma only compares the schema "public", without triggers, functions, views, CHECK and EXCLUDE constraints, sequences, and
 * indexes that are partial or contain an expression. Write those by hand in a migration. Prisma does compare, and would drop,
 * everything that schema.prisma could contain: tables, columns (including generated and identity columns), defaults, and plain
 * indexes with INCLUDE, NULLS FIRST, a collation, an operator class or another access method.
 */
export async function diffSchema(options: { databaseUrl: string; schemaFile: string }): Promise<string> {
  const files = [{ path: options.schemaFile, content: await readFile(options.schemaFile, 'utf8') }];
  const { SchemaEngine } = await loadEngine();
  // PostgreSQL prints the defaults of columns in the style of the session.
  const pool = new Pool({
    connectionString: options.databaseUrl,
    options: '-c IntervalStyle=postgres -c DateStyle=ISO -c TimeZone=UTC',
    max: 1,
  });
  try {
    const factory = bindMigrationAwareSqlAdapterFactory(introspectingAdapter(pool));
    const engine = await SchemaEngine.new({ datamodels: undefined }, () => undefined, factory);
    const { stdout } = await engine.diff({
      from: { tag: 'schemaDatasource', files, configDir: dirname(options.schemaFile) },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: null,
      filters: { externalTables: [], externalEnums: [] },
    });
    const sql = stdout?.trim() ?? '';
    return sql === '-- This is an empty migration.' ? '' : sql;
  } finally {
    await pool.end();
  }
}

let engineModule: Promise<EngineModule> | undefined;

/**
 * The package's own entry imports the .wasm file as a module, which Node 20 and 22 only support behind a flag. Only this file uses
 * internals of Prisma, and test/contract/prisma-schema-engine.test.ts checks them for the installed version.
 */
function loadEngine(): Promise<EngineModule> {
  engineModule ??= (async () => {
    const glue = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
    const engine = await import('@prisma/schema-engine-wasm/schema_engine_bg');
    const program = await readFile(glue.replace(/\.js$/, '.wasm'));
    const { instance } = await WebAssembly.instantiate(program, { [`./${basename(glue)}`]: engine });
    engine.__wbg_set_wasm(instance.exports);
    (instance.exports['__wbindgen_start'] as () => void)();
    return engine;
  })();
  return engineModule;
}

/** PostgreSQL's catalogs use the one-byte type "char". Its OID is fixed in src/include/catalog/pg_type.dat. */
const CHAR_OID = 18;
const TEXT_OID = 25;

/**
 * Prisma's adapter for pg, made to support columns of type "char", which it rejects and which introspection needs. Passes them
 * through the adapter as text, and then restores their type.
 */
function introspectingAdapter(pool: Pool): SqlMigrationAwareDriverAdapterFactory {
  const charColumns = new WeakMap<unknown[][], number[]>();
  const query = pool.query.bind(pool) as (config: QueryConfig) => Promise<QueryArrayResult<unknown[]>>;
  pool.query = (async (config: QueryConfig) => {
    const result = await query(config);
    const columns = result.fields.flatMap((field, index) => (field.dataTypeID === CHAR_OID ? [index] : []));
    for (const index of columns) Object.assign(result.fields[index] ?? {}, { dataTypeID: TEXT_OID });
    charColumns.set(result.rows, columns);
    return result;
  }) as typeof pool.query;

  const factory = new PrismaPg(pool);
  return {
    provider: factory.provider,
    adapterName: factory.adapterName,
    connectToShadowDb: () => factory.connectToShadowDb(),
    connect: async () => {
      const adapter = await factory.connect();
      const queryRaw = adapter.queryRaw.bind(adapter);
      adapter.queryRaw = async (sqlQuery) => {
        const result = await queryRaw(sqlQuery);
        for (const index of charColumns.get(result.rows) ?? []) {
          result.columnTypes[index] = ColumnTypeEnum.Character;
        }
        return result;
      };
      return adapter;
    },
  };
}
