import express, { type Request, type Router } from 'express';
import { BadRequest } from '../../core/errors.js';
import { USAGE_GROUPINGS, type UsageGroup } from '../../core/billing/money.js';
import { type Usage, type UsageQuery } from '../../services/billing/usage.js';
import { callerOf, type Entry, identify } from '../access/authenticate.js';

const COLUMNS = ['key', 'name', 'tasks', 'images', 'currency', 'cost', 'reserved', 'held'] as const;
/** Spreadsheets take a cell that begins so for a formula, and run it. */
const FORMULA = /^\s*[=+\-@]|^[\t\r]/;

/** Usage as a table for spreadsheets, by RFC 4180. */
export function usageRoutes(entry: Entry, usage: Usage): Router {
  const router = express.Router();
  router.get('/usage.csv', identify(entry, 'audit:read'), async (request, response) => {
    const query = queryOf(request);
    const groups = await usage.table(callerOf(response), query);
    const { from, to, groupBy } = query;
    const days = [from, to].map((time) => time.toISOString().slice(0, 'YYYY-MM-DD'.length)).join('-');
    response
      .set('cache-control', 'no-store')
      .set('content-disposition', `attachment; filename="usage-${groupBy.toLowerCase()}-${days}.csv"`)
      .type('text/csv')
      .send([COLUMNS.join(','), ...groups.map(row), ''].join('\r\n'));
  });
  return router;
}

/** Throws BadRequest. */
function queryOf({ query }: Request): UsageQuery {
  const groupBy = USAGE_GROUPINGS.find((grouping) => grouping === query.groupBy);
  if (!groupBy) throw new BadRequest(`\`groupBy\` must be one of ${USAGE_GROUPINGS.join(', ')}.`);
  return { from: timeOf(query.from, 'from'), to: timeOf(query.to, 'to'), groupBy };
}

function timeOf(text: unknown, name: string): Date {
  const time =
    typeof text === 'string' && /^\d{4}-\d{2}-\d{2}(T.+(Z|[+-]\d{2}:\d{2}))?$/.test(text)
      ? new Date(text)
      : null;
  if (time && !Number.isNaN(time.getTime())) return time;
  throw new BadRequest(
    `\`${name}\` must be a day such as 2026-07-01, or a time such as 2026-07-01T12:00:00Z.`,
  );
}

function row(group: UsageGroup): string {
  return COLUMNS.map((column) => cell(group[column])).join(',');
}

function cell(value: string | number | null): string {
  if (value === null) return '';
  const text = String(value);
  const plain = FORMULA.test(text) ? `'${text}` : text;
  return /^['\s]|[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
