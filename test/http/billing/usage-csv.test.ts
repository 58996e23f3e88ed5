import { describe, expect, test } from '@jest/globals';
import { usageCsv } from '../../../src/http/billing/usage-routes.js';

/** Reads CSV as a spreadsheet does, which ends a row at any line break outside quotes. */
function readRows(csv: string): string[] {
  return csv.split(/(?:\r\n|\r|\n)(?=(?:[^"]*"[^"]*")*[^"]*$)/);
}

describe('an end-user ID in the CSV file', () => {
  test.each(['x\n=1+2', 'y\r=1+3', 'z\r\n=1', '\n', '=1', '"', ',', '\t-1', 'ordinary'])(
    '%j stays in its cell and is no formula',
    (groupKey) => {
      const group = { groupKey, keyName: null, taskCount: 1, imageCount: 2, currency: 'USD' };
      const amounts = { cost: '1', reserved: '0', uncertain: '0' };
      const rows = readRows(usageCsv([{ ...group, ...amounts }]));
      expect(rows).toHaveLength(3);
      expect(rows[1]).toMatch(/^(ordinary|"(?![=+\-@])(''|[^"]|"")*"|'=1),,1,2,USD,1,0,0$/);
    },
  );
});
