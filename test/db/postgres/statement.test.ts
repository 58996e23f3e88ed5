import { describe, expect, test } from '@jest/globals';
import { assembledStatement, bind, statement } from '../../../src/db/postgres/statement.js';

describe('a statement', () => {
  test('gets numbers for its named parameters, the same number for the same name', () => {
    const compiled = statement<{ id: string; limit: number }>(
      'one',
      'SELECT :id, :limit::int WHERE :id > :limit',
    );
    expect(compiled.text).toBe('SELECT $1, $2::int WHERE $1 > $2');
    expect(bind(compiled, { limit: 5, id: 'a' })).toEqual({
      name: 'one',
      text: compiled.text,
      values: ['a', 5],
    });
  });

  test.each([
    ['a cast', 'SELECT now()::date'],
    ['a literal', `SELECT substring(url FROM '^[^:]+://it''s:id')`],
    ['a quoted identifier', 'SELECT id AS "a:id"'],
    ['a comment', "SELECT id -- the task's :id\nFROM tasks"],
    ['an array slice', 'SELECT (array_agg(id))[1:10]'],
    ['a named argument', 'SELECT make_interval(secs := 5)'],
  ])('keeps %s as it is', (_title, sql) => {
    expect(statement('kept', sql)).toMatchObject({ text: sql, parameterNames: [] });
  });

  test('refuses a parameter without a value, but sends null', () => {
    const compiled = statement<{ id?: string | null }>('two', 'SELECT :id');
    expect(() => bind(compiled, {})).toThrow('The statement two needs a value for :id.');
    expect(bind(compiled, { id: null }).values).toEqual([null]);
  });

  test('has one name for each variant that is assembled', () => {
    const names = ['SELECT 1', 'SELECT 2', 'SELECT 1'].map((sql) => assembledStatement('page', sql).name);
    expect(names[0]).toMatch(/^page-\d+$/);
    expect(names[1]).not.toBe(names[0]);
    expect(names[2]).toBe(names[0]);
  });
});
