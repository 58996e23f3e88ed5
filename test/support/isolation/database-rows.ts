import { type TestApp } from '../app/test-app.js';

/** A row of any table. */
export interface Row {
  /** With its schema, such as `public.tasks`. */
  table: string;
  columns: Record<string, unknown>;
  /** The columns as JSON. */
  text: string;
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
/** A text that the test made for one workspace: see `WorkspaceFixture.marker`. */
const MARKER = /m[0-9a-f]{12}w\d{4,}/g;
/** The service writes these columns later, for any caller. */
const VOLATILE_COLUMNS = ['last_used_at'];

/** Reads every row of every table, including those of the queue. A new table is included without a change here. */
export async function readAllRows(app: TestApp): Promise<Row[]> {
  const tables = await app.rows<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND table_schema IN ('public', 'graphile_worker') ORDER BY 1`,
  );
  const rows: Row[] = [];
  for (const { name: table } of tables) {
    const found = await app.rows<{ columns: Record<string, unknown> }>(
      `SELECT to_jsonb(t) AS columns FROM ${table} t`,
    );
    for (const { columns } of found)
      rows.push({ table, columns, text: JSON.stringify(decodeColumns(columns)) });
  }
  return rows;
}

/** Decodes bytes, which PostgreSQL returns in hexadecimal. The bodies of callbacks are texts with identifiers. */
function decodeColumns(columns: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(columns).filter(([name]) => !VOLATILE_COLUMNS.includes(name));
  return Object.fromEntries(
    entries.map(([name, value]) => [
      name,
      typeof value === 'string' && value.startsWith('\\x')
        ? Buffer.from(value.slice(2), 'hex').toString('latin1')
        : value,
    ]),
  );
}

/**
 * Returns the rows of the workspace and of the workspaces that it created. Tables without a workspace column, such as those
 * of the queue, contribute the rows that contain an identifier of these rows.
 */
export function filterWorkspaceRows(rows: readonly Row[], workspaceId: string): Row[] {
  const workspaceIds = new Set<unknown>([workspaceId]);
  for (const { columns } of rows)
    if (columns['workspace_id'] === workspaceId && columns['action'] === 'WORKSPACE_CREATED')
      workspaceIds.add(columns['target_id']);
  const ownRows = rows.filter(({ table, columns }) =>
    workspaceIds.has(table === 'public.workspaces' ? columns['id'] : columns['workspace_id']),
  );
  const identifiers = collectIdentifiers(ownRows);
  const hasWorkspace = ({ table, columns }: Row) =>
    table === 'public.workspaces' || typeof columns['workspace_id'] === 'string';
  return [
    ...ownRows,
    ...rows.filter(
      (row) => !hasWorkspace(row) && findIdentifiers(row.text).some((each) => identifiers.has(each)),
    ),
  ];
}

/** Returns the identifiers in rows. */
export function collectIdentifiers(rows: readonly Row[]): Set<string> {
  return new Set(rows.flatMap(({ text }) => findIdentifiers(text)));
}

/** Returns the IDs and markers in a text. */
export function findIdentifiers(text: string): string[] {
  return [...(text.match(UUID) ?? []), ...(text.match(MARKER) ?? [])];
}

export function isMarker(identifier: string): boolean {
  return new RegExp(`^${MARKER.source}$`).test(identifier);
}

/** Groups the identifiers in rows by column, such as `tasks.id`, in the order of the columns. */
export function groupIdentifiersByColumn(rows: readonly Row[]): Map<string, string[]> {
  const byColumn = new Map<string, string[]>();
  for (const { table, columns } of rows) {
    for (const [name, value] of Object.entries(decodeColumns(columns))) {
      const column = `${table.replace('public.', '')}.${name}`;
      const found = findIdentifiers(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
      if (found.length > 0) byColumn.set(column, [...new Set([...(byColumn.get(column) ?? []), ...found])]);
    }
  }
  return byColumn;
}

/** Compares two states. A changed row is in `removed` in its old form and in `added` in its new one. */
export function diffRows(before: readonly Row[], after: readonly Row[]): { removed: Row[]; added: Row[] } {
  const keyOf = ({ table, text }: Row) => `${table} ${text}`;
  const [keysBefore, keysAfter] = [new Set(before.map(keyOf)), new Set(after.map(keyOf))];
  return {
    removed: before.filter((row) => !keysAfter.has(keyOf(row))),
    added: after.filter((row) => !keysBefore.has(keyOf(row))),
  };
}
