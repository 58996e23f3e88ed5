/**
 * Writes schema.graphql from the code; with --check, fails when the committed file differs. The services are never called:
 * the schema's shape does not depend on them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { makeSchema, type SchemaServices } from '../src/graphql/server/schema.js';

const FILE = 'schema.graphql';
const HEADER = '# Generated from src/graphql by "npm run generate". The descriptions are the manual.\n\n';

const schema = await makeSchema({} as SchemaServices);
const text = `${HEADER}${printSchema(lexicographicSortSchema(schema))}\n`;
if (!process.argv.includes('--check')) {
  writeFileSync(FILE, text);
} else if (readFileSync(FILE, 'utf8') !== text) {
  console.error(`${FILE} is not what the code gives. Run "npm run generate" and commit the result.`);
  process.exitCode = 1;
}
