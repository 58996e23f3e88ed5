import { type TestApp } from '../app/test-app.js';

/** A row of any table, as JSON has it. */
export interface Row {
  table: string;
  columns: Record<string, unknown>;
  text: string;
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const WORD = /m[0-9a-f]{12}w\d{4,}/g;
/** Written down later, by whoever happens to ask: when a key was used. */
const UNSTEADY = ['last_used_at'];

/** Every row of every table, the queue's included: so a table that is new is looked at without an edit here. */
export async function allRows(app: TestApp): Promise<Row[]> {
  const tables = await app.rows<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND table_schema IN ('public', 'graphile_worker') ORDER BY 1`,
  );
  const rows: Row[] = [];
  for (const { name: table } of tables) {
    const found = await app.rows<{ columns: Record<string, unknown> }>(
      `SELECT to_jsonb(t) AS columns FROM ${table} t`,
    );
    for (const { columns } of found) rows.push({ table, columns, text: JSON.stringify(readable(columns)) });
  }
  return rows;
}

/** Bytes are shown by Postgres in hex: callbacks' bodies are texts that somebody may know. */
function readable(columns: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(columns).filter(([name]) => !UNSTEADY.includes(name));
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
 * The rows of the workspace and of those that it made; of tables that have no workspace, such as the queue's, the rows that
 * name what these rows name.
 */
export function rowsOfWorkspace(rows: readonly Row[], workspaceId: string): Row[] {
  const owners = new Set<unknown>([workspaceId]);
  for (const { columns } of rows)
    if (columns['workspace_id'] === workspaceId && columns['action'] === 'WORKSPACE_CREATED')
      owners.add(columns['subject']);
  const isOwned = ({ table, columns }: Row) =>
    owners.has(table === 'public.workspaces' ? columns['id'] : columns['workspace_id']);
  const owned = rows.filter(isOwned);
  const names = namesIn(owned);
  const hasOwner = ({ table, columns }: Row) =>
    table === 'public.workspaces' || typeof columns['workspace_id'] === 'string';
  return [
    ...owned,
    ...rows.filter((row) => !hasOwner(row) && namesInText(row.text).some((name) => names.has(name))),
  ];
}

/** The ids and the words of the test that rows hold. */
export function namesIn(rows: readonly Row[]): Set<string> {
  return new Set(rows.flatMap(({ text }) => namesInText(text)));
}

export function namesInText(text: string): string[] {
  return [...(text.match(UUID) ?? []), ...(text.match(WORD) ?? [])];
}

export function isWord(name: string): boolean {
  return new RegExp(`^${WORD.source}$`).test(name);
}

/** Where the ids and words of rows stand, such as `public.tasks.id`, in the order of the columns. */
export function namesByColumn(rows: readonly Row[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { table, columns } of rows) {
    for (const [column, value] of Object.entries(readable(columns))) {
      const place = `${table.replace('public.', '')}.${column}`;
      const names = namesInText(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
      if (names.length > 0) found.set(place, [...new Set([...(found.get(place) ?? []), ...names])]);
    }
  }
  return found;
}

/** The rows before that are not there in the same form any more, and those that have come. */
export function changesOf(before: readonly Row[], after: readonly Row[]): { gone: Row[]; come: Row[] } {
  const keyOf = ({ table, text }: Row) => `${table} ${text}`;
  const [old, present] = [new Set(before.map(keyOf)), new Set(after.map(keyOf))];
  return {
    gone: before.filter((row) => !present.has(keyOf(row))),
    come: after.filter((row) => !old.has(keyOf(row))),
  };
}
