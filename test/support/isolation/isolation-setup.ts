import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLIENT_TOKEN_SCOPES } from '../../../src/core/access/caller.js';
import { Signer } from '../../../src/core/access/signer.js';
import { EventCursorCodec } from '../../../src/core/events/event-cursor.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { createClientToken, SECRET_KEY } from '../access/client-tokens.js';
import { startWithRoutes } from '../app/routes.js';
import { TestApp } from '../app/test-app.js';
import { reply, TestHttpServer } from '../net/test-http-server.js';
import { createTestDatabase } from '../setup/test-database.js';
import { FakeUpstream } from '../upstreams/fake-upstream.js';
import {
  collectIdentifiers,
  diffRows,
  filterWorkspaceRows,
  groupIdentifiersByColumn,
  readAllRows,
  type Row,
} from './database-rows.js';
import { type Intruder, ProbeValues } from './graphql-probes.js';
import { WorkspaceBuilder, type WorkspaceFixture } from './workspace-builder.js';

/** Public URL of the service. Nothing listens there, so an image link that leads there cannot be downloaded. */
const PUBLIC_URL = 'http://127.0.0.1:9';

/** Counters that an insider's own requests change as well. */
const SHARED_COUNTER_TABLES = [
  'public.budget_counters',
  'public.scheduler_positions',
  'public.rate_limit_windows',
];

/** Two full workspaces, callers that ask for data they must not see, and a service without a worker. */
export interface IsolationSetup {
  app: TestApp;
  routes: string[];
  signer: Signer;
  probeValues: ProbeValues;
  victim: WorkspaceFixture;
  /** An API key of another workspace, with every scope. */
  attacker: Intruder;
  /** Client tokens of the victim's workspace: one of an end user, and one for a single task. */
  insiders: Intruder[];
  /** Creates a task in the victim's workspace. Returns its ID and its prompt, which no intruder may see. */
  addVictimTask: () => Promise<string[]>;
  /** Returns the rows, foreign to the intruder, that changed during `work`. */
  changesDuring: (intruder: Intruder, work: () => Promise<void>) => Promise<string[]>;
  close(): Promise<void>;
}

export async function setUpIsolation(): Promise<IsolationSetup> {
  const upstream = await FakeUpstream.open();
  upstream.onSubmit = (response, received) => {
    const { prompt } = JSON.parse(received.body) as { prompt: string };
    if (prompt.endsWith('drop')) response.destroy();
    else reply(200, { task_id: `up-${prompt}`, trace_id: `trace-${prompt}` })(response, received);
  };
  const webhookServer = await TestHttpServer.open((response, { path }) =>
    path.endsWith('drop') ? response.destroy() : response.end(path),
  );
  const database = await createTestDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-isolation-'));
  const environment = {
    ...upstream.environment,
    ...{ SECRET_KEY, ALLOW_PRIVATE_HOSTS: '127.0.0.1', PRICES_FILE: 'test/support/isolation/prices.json' },
    // High enough to be counted and never reached.
    LIMITS_PER_KEY: 'requestsPerMinute=1000000',
    LIMITS_PER_END_USER: 'requestsPerMinute=1000000,connections=1000',
  };
  const shared = { databaseUrl: database.url, dataDir };
  const tuning = { authenticationFailureWindowMs: 50 };
  const setupApp = await TestApp.start({ ...shared, environment, tuning });
  const setupBuilder = new WorkspaceBuilder(setupApp, upstream, webhookServer.url);
  const [victim, attackerWorkspace] = await Promise.all([
    setupBuilder.createWorkspace(),
    setupBuilder.createWorkspace(),
  ]);
  const endUserId = victim.marker();
  const createToken = async (service: TestApp, input: object) =>
    (await createClientToken(service, { scopes: CLIENT_TOKEN_SCOPES, ...input }, victim.apiKey)).token;
  const endUserOwner = { apiKey: await createToken(setupApp, { endUserId }), marker: victim.marker };
  const endUserResources = await setupBuilder.createResources(endUserOwner, {});
  await setupApp.stop();

  // This app has no worker, so the data changes only through requests.
  const { app, routes } = await startWithRoutes({
    ...{ ...shared, apiKey: setupApp.apiKey },
    environment: { ...environment, PUBLIC_URL, ROLES: 'api' },
  });
  const builder = new WorkspaceBuilder(app, upstream, webhookServer.url);
  for (const workspace of [victim, attackerWorkspace]) await builder.addUnfinishedTasks(workspace);
  // A token names the URL of the app that created it, so the tokens of the first app are not valid here.
  const endUserToken = await createToken(app, { endUserId });
  const taskToken = await createToken(app, { taskIds: [victim.own.task] });
  const rows = await readAllRows(app);
  const signer = new Signer(Buffer.from(SECRET_KEY));
  const [eventLog] = rows.filter(({ table }) => table === 'public.event_log');
  const cursors = new EventCursorCodec(signer, String(eventLog?.columns['log_id']));

  const belongsToEndUser = ({ columns }: Row) => columns['end_user_id'] === endUserId;
  const endUserTasks = new Set(
    rows.filter((row) => row.table === 'public.tasks' && belongsToEndUser(row)).map(rowId),
  );
  const { task, image, callback } = victim.own;
  const nonexistentKeys = { apiKey: newId(), spareKey: newId(), endUser: endUserId };
  return {
    ...{ app, routes, signer, victim },
    probeValues: new ProbeValues(signer, cursors, PUBLIC_URL, webhookServer.url),
    attacker: buildIntruder(
      {
        name: 'an API key of another workspace',
        apiKey: attackerWorkspace.apiKey,
        own: attackerWorkspace.own,
        mayRead: () => false,
      },
      { rows, victim, workspaceId: attackerWorkspace.workspaceId },
    ),
    insiders: [
      buildIntruder(
        {
          name: 'a client token of an end user',
          apiKey: endUserToken,
          own: { ...endUserResources, ...nonexistentKeys },
          mayRead: (row) => belongsToEndUser(row) || belongsToTasks(row, endUserTasks),
        },
        { rows, victim, workspaceId: victim.workspaceId },
      ),
      buildIntruder(
        {
          name: 'a client token for one task',
          apiKey: taskToken,
          own: { ...nonexistentKeys, task, image, callback, running: task },
          mayRead: (row) => belongsToTasks(row, new Set([task])),
        },
        { rows, victim, workspaceId: victim.workspaceId },
      ),
    ],
    addVictimTask: () => builder.addTask(victim),
    changesDuring: async ({ mayRead, isInsider }, work) => {
      const readForeign = async () =>
        filterWorkspaceRows(await readAllRows(app), victim.workspaceId).filter((row) => !mayRead(row));
      const before = await readForeign();
      await work();
      const { removed, added } = diffRows(before, await readForeign());
      const changed = isInsider
        ? removed.filter(({ table }) => !SHARED_COUNTER_TABLES.includes(table))
        : removed;
      const created = isInsider
        ? []
        : added.filter(({ columns }) => columns['workspace_id'] === victim.workspaceId);
      return [...changed, ...created].map(({ table, text }) => `${table} ${text}`);
    },
    close: async () => {
      await app.stop();
      await Promise.all([upstream.close(), webhookServer.close(), database.drop()]);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function buildIntruder(
  identity: Pick<Intruder, 'name' | 'apiKey' | 'own' | 'mayRead'>,
  { rows, victim, workspaceId }: { rows: readonly Row[]; victim: WorkspaceFixture; workspaceId: string },
): Intruder {
  const isInsider = workspaceId === victim.workspaceId;
  const victimRows = filterWorkspaceRows(rows, victim.workspaceId);
  const isVisible = (row: Row) => identity.mayRead(row) || (isInsider && isViewerRow(row, victim));
  const visible = collectIdentifiers(victimRows.filter(isVisible));
  const foreignByColumn = new Map<string, string[]>();
  const hiddenRows = victimRows.filter((row) => !isVisible(row));
  for (const [column, identifiers] of groupIdentifiersByColumn(hiddenRows)) {
    const foreign = identifiers.filter((each) => !visible.has(each));
    if (foreign.length > 0) foreignByColumn.set(column, foreign);
  }

  const isOwnRow = (row: Row) =>
    isInsider ? identity.mayRead(row) : row.columns['workspace_id'] === workspaceId;
  const ownIds = (table: string) =>
    rows.filter((row) => row.table === table && isOwnRow(row)).map((row) => String(rowId(row)));
  const events = rows.filter(
    ({ table, columns }) => table === 'public.task_events' && columns['position'] !== null,
  );
  const positionsOf = (some: Row[]) =>
    some.map(({ columns }) => BigInt(String(columns['position']))).sort((a, b) => Number(a - b));
  return {
    ...identity,
    isInsider,
    ownVariants: [
      ...ownIds('public.tasks').map((task) => ({ ...identity.own, task })),
      ...ownIds('public.images').map((image) => ({ ...identity.own, image })),
    ],
    foreignByColumn,
    foreignIdentifiers: new Set([...foreignByColumn.values()].flat()),
    positions: {
      own: positionsOf(events.filter(isOwnRow)),
      foreign: positionsOf(
        events.filter((row) => row.columns['workspace_id'] === victim.workspaceId && !isOwnRow(row)),
      ),
    },
  };
}

/** Whether `viewer` shows this row to every caller of the workspace: the workspace itself, and the key that created the token. */
function isViewerRow({ table, columns }: Row, { workspaceId, keyId }: WorkspaceFixture): boolean {
  return (
    (table === 'public.workspaces' && columns['id'] === workspaceId) ||
    (table === 'public.api_keys' && columns['id'] === keyId)
  );
}

function belongsToTasks({ table, columns }: Row, taskIds: ReadonlySet<unknown>): boolean {
  return taskIds.has(columns['task_id']) || (table === 'public.tasks' && taskIds.has(columns['id']));
}

function rowId({ columns }: Row): unknown {
  return columns['id'];
}
