import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';

test('no time of a row is made by Prisma Client, because it would be of the clock of the instance', async () => {
  const schema = await readFile('prisma/schema.prisma', 'utf8');
  const fields = schema.split('\n').filter((line) => !line.trimStart().startsWith('//'));
  expect(fields.filter((line) => /@default\(now\(\)\)|@updatedAt/.test(line))).toEqual([]);
});
