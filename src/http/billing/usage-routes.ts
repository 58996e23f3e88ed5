import { type Options, stringify } from 'csv-stringify/sync';
import express, { type Request, type Router } from 'express';
import { BadRequest } from '../../core/errors.js';
import { USAGE_GROUPINGS, type UsageGroup } from '../../core/billing/money.js';
import { type Usage, type UsageQuery } from '../../services/billing/usage.js';
import { callerOf, type AuthServices, authorize } from '../access/authorize.js';
import { closeSignalOf } from '../server/on-close.js';

/** Spreadsheets would evaluate a cell with such a beginning as a formula. */
const FORMULA_PREFIX = /^\s*[=+\-@]|^[\t\r]/;
const CSV_OPTIONS: Options = {
  header: true,
  columns: ['groupKey', 'keyName', 'taskCount', 'imageCount', 'currency', 'cost', 'reserved', 'uncertain'],
  record_delimiter: 'windows',
  // A line break of any kind ends a row in some spreadsheets. The library quotes only its own delimiter.
  quoted_match: /^['\s]|[\v\f\r\n\u0085\u2028\u2029]/,
  cast: { string: (text) => (FORMULA_PREFIX.test(text) ? `'${text}` : text) },
};

/** The groups as CSV (RFC 4180). No text in a cell can add a row or be a formula. */
export function usageCsv(groups: readonly UsageGroup[]): string {
  return stringify([...groups], CSV_OPTIONS);
}

/** Serves usage as CSV, for spreadsheets. */
export function usageRoutes(auth: AuthServices, usage: Usage): Router {
  const router = express.Router();
  router.get('/usage.csv', authorize(auth, 'audit:read'), async (request, response) => {
    const query = parseQuery(request);
    const groups = await usage.listAll(callerOf(response), query, closeSignalOf(response));
    const { from, to, groupBy } = query;
    const days = [from, to].map((time) => time.toISOString().slice(0, 'YYYY-MM-DD'.length)).join('-');
    response
      .set('cache-control', 'no-store')
      .set('content-disposition', `attachment; filename="usage-${groupBy.toLowerCase()}-${days}.csv"`)
      .type('text/csv')
      .send(usageCsv(groups));
  });
  return router;
}

/** Throws BadRequest for missing or invalid parameters. */
function parseQuery({ query }: Request): UsageQuery {
  const groupBy = USAGE_GROUPINGS.find((grouping) => grouping === query.groupBy);
  if (!groupBy) throw new BadRequest(`\`groupBy\` must be one of ${USAGE_GROUPINGS.join(', ')}.`);
  return { from: parseTime(query.from, 'from'), to: parseTime(query.to, 'to'), groupBy };
}

function parseTime(text: unknown, name: string): Date {
  const time =
    typeof text === 'string' && /^\d{4}-\d{2}-\d{2}(T.+(Z|[+-]\d{2}:\d{2}))?$/.test(text)
      ? new Date(text)
      : null;
  if (time && !Number.isNaN(time.getTime())) return time;
  throw new BadRequest(
    `\`${name}\` must be a date such as 2026-07-01, or a time such as 2026-07-01T12:00:00Z.`,
  );
}
