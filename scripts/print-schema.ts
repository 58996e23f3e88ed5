/**
 * Writes schema.graphql from the code. With --check, exits with code 1 when the committed file differs. No services are needed,
 * because the schema does not depend on them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { buildExecutableSchema, type SchemaServices } from '../src/graphql/server/schema.js';

const FILE = 'schema.graphql';
const FILE_HEADER =
  '# Generated from src/graphql by "npm run generate". The descriptions are the manual.\n\n';

const schema = await buildExecutableSchema({} as SchemaServices);
const text = `${FILE_HEADER}${printSchema(lexicographicSortSchema(schema))}\n`;
if (!process.argv.includes('--check')) {
  writeFileSync(FILE, text);
} else if (readFileSync(FILE, 'utf8') !== text) {
  console.error(`${FILE} is out of date. Run "npm run generate" and commit the result.`);
  process.exitCode = 1;
}
