import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TOKEN_SCOPES } from '../../../src/core/access/caller.js';
import { EventCursors } from '../../../src/core/events/event-cursor.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Signer } from '../../../src/core/access/signer.js';
import { Peer, reply } from '../net/http-peer.js';
import { TestApp } from '../app/test-app.js';
import { createTestDatabase } from '../setup/test-database.js';
import { FakeUpstream } from '../upstreams/fake-upstream.js';
import { startWithRoutes } from '../app/routes.js';
import { createToken, SECRET_KEY } from '../access/client-tokens.js';
import { type Asker, Pairs } from './graphql-probes.js';
import { allRows, changesOf, namesByColumn, namesIn, type Row, rowsOfWorkspace } from './database-rows.js';
import { type Place, World } from './workspace-fixtures.js';

/** Where the service says that it is: pictures are fetched from there by nobody. */
const PUBLIC_URL = 'http://127.0.0.1:9';

/** What an insider's own tasks move, too. */
const COUNTED_TOGETHER = ['public.budget_counters', 'public.turns', 'public.allowances'];

/** Two workspaces that have one of everything, those who ask for what they do not have, and a service where nothing moves. */
export interface Stage {
  app: TestApp;
  routes: string[];
  signer: Signer;
  pairs: Pairs;
  victim: Place;
  /** Another workspace, with a key that may do everything. */
  attacker: Asker;
  /** Tokens of the victim's own workspace: of an end user, and for certain tasks. */
  insiders: Asker[];
  /** Makes something in the victim's workspace; the id and the word that nobody else may be shown. */
  happenToVictim: () => Promise<string[]>;
  /** What was changed for others while `work` was done. */
  changesFor: (asker: Asker, work: () => Promise<void>) => Promise<string[]>;
  close(): Promise<void>;
}

export async function setStage(): Promise<Stage> {
  const upstream = await FakeUpstream.open();
  upstream.submit = (response, received) => {
    const { prompt } = JSON.parse(received.body) as { prompt: string };
    if (prompt.endsWith('drop')) response.destroy();
    else reply(200, { task_id: `up-${prompt}`, trace_id: `trace-${prompt}` })(response, received);
  };
  const receiver = await Peer.open((response, { path }) =>
    path.endsWith('drop') ? response.destroy() : response.end(path),
  );
  const database = await createTestDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-walk-'));
  const environment = {
    ...upstream.environment,
    ...{ SECRET_KEY, ALLOW_PRIVATE_HOSTS: '127.0.0.1', PRICES_FILE: 'test/support/isolation/prices.json' },
    // Counted, and never used up.
    LIMITS_PER_KEY: 'requestsPerMinute=1000000',
    LIMITS_PER_END_USER: 'requestsPerMinute=1000000,connections=1000',
  };
  const shared = { databaseUrl: database.url, dataDir };
  const filler = await TestApp.start({ ...shared, environment, tuning: { signInWindowMs: 50 } });
  const world = new World(filler, upstream, receiver.url);
  const [victim, other] = await Promise.all([world.place(), world.place()]);
  const endUserId = victim.word();
  // Each app signs with its own address.
  const token = async (service: TestApp, facts: object) =>
    (await createToken(service, { scopes: TOKEN_SCOPES, ...facts }, victim.key)).token;
  const maker = { key: await token(filler, { endUserId }), word: victim.word };
  const usersOwn = await world.things(maker, {});
  await filler.stop();

  // From here on nobody works: what was made stands still while it is asked for.
  const { app, routes } = await startWithRoutes({
    ...{ ...shared, key: filler.key },
    environment: { ...environment, PUBLIC_URL, ROLES: 'api' },
  });
  const waiting = new World(app, upstream, receiver.url);
  for (const place of [victim, other]) await waiting.leaveWaiting(place);
  const ofUser = await token(app, { endUserId });
  const ofTask = await token(app, { taskIds: [victim.own.task] });
  const rows = await allRows(app);
  const signer = new Signer(Buffer.from(SECRET_KEY));
  const [log] = rows.filter(({ table }) => table === 'public.event_log_head');
  const cursors = new EventCursors(signer, String(log?.columns['log_id']));

  const isUsers = ({ columns }: Row) => columns['end_user_id'] === endUserId;
  const usersTasks = new Set(rows.filter((row) => row.table === 'public.tasks' && isUsers(row)).map(idOf));
  const nobody = { apiKey: newId(), spareKey: newId(), endUser: endUserId };
  const { task, image, callback } = victim.own;
  const insider = (name: string, key: string, own: Asker['own'], isOwn: Asker['isOwn']): Asker =>
    asker({ name, key, own, isOwn }, rows, victim, victim.workspaceId);
  return {
    ...{ app, routes, signer, victim },
    pairs: new Pairs(signer, cursors, PUBLIC_URL, receiver.url),
    attacker: asker(
      { name: 'a key of another workspace', key: other.key, own: other.own, isOwn: () => false },
      ...([rows, victim, other.workspaceId] as const),
    ),
    insiders: [
      insider(
        'a token of an end user',
        ofUser,
        { ...usersOwn, ...nobody },
        (row) => isUsers(row) || isOfTasks(row, usersTasks),
      ),
      insider('a token for a task', ofTask, { ...nobody, task, image, callback, running: task }, (row) =>
        isOfTasks(row, new Set([task])),
      ),
    ],
    happenToVictim: () => waiting.leaveTask(victim),
    changesFor: async ({ isOwn, isInsider }, work) => {
      const foreign = async () =>
        rowsOfWorkspace(await allRows(app), victim.workspaceId).filter((row) => !isOwn(row));
      const before = await foreign();
      await work();
      const { gone, come } = changesOf(before, await foreign());
      const changed = isInsider ? gone.filter(({ table }) => !COUNTED_TOGETHER.includes(table)) : gone;
      const made = isInsider
        ? []
        : come.filter(({ columns }) => columns['workspace_id'] === victim.workspaceId);
      return [...changed, ...made].map(({ table, text }) => `${table} ${text}`);
    },
    close: async () => {
      await app.stop();
      await Promise.all([upstream.close(), receiver.close(), database.drop()]);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function asker(
  who: Pick<Asker, 'name' | 'key' | 'own' | 'isOwn'>,
  rows: readonly Row[],
  victim: Place,
  workspaceId: string,
): Asker {
  const ofVictim = rowsOfWorkspace(rows, victim.workspaceId);
  const isShown = (row: Row) =>
    who.isOwn(row) || (workspaceId === victim.workspaceId && isOfViewer(row, victim));
  const known = namesIn(ofVictim.filter(isShown));
  const foreign = new Map<string, string[]>();
  for (const [column, names] of namesByColumn(ofVictim.filter((row) => !isShown(row)))) {
    const unknown = names.filter((name) => !known.has(name));
    if (unknown.length > 0) foreign.set(column, unknown);
  }
  const events = rows.filter(
    ({ table, columns }) => table === 'public.task_events' && columns['position'] !== null,
  );
  const isMine = (row: Row) =>
    workspaceId === victim.workspaceId ? who.isOwn(row) : row.columns['workspace_id'] === workspaceId;
  const positions = (some: Row[]) =>
    some.map(({ columns }) => BigInt(String(columns['position']))).sort((a, b) => Number(a - b));
  const ownRows = rows.filter(isMine);
  const tasks = ownRows
    .filter(({ table }) => table === 'public.tasks')
    .map(({ columns }) => String(columns['id']));
  const images = ownRows
    .filter(({ table }) => table === 'public.images')
    .map(({ columns }) => String(columns['id']));
  return {
    ...who,
    isInsider: workspaceId === victim.workspaceId,
    ownThings: [
      ...tasks.map((task) => ({ ...who.own, task })),
      ...images.map((image) => ({ ...who.own, image })),
    ],
    foreign,
    foreignNames: new Set([...foreign.values()].flat()),
    positions: {
      own: positions(events.filter(isMine)),
      foreign: positions(
        events.filter((row) => row.columns['workspace_id'] === victim.workspaceId && !isMine(row)),
      ),
    },
  };
}

/** What `viewer` tells every caller: the workspace, and the key that made the token. */
function isOfViewer({ table, columns }: Row, { workspaceId, keyId }: Place): boolean {
  return (
    (table === 'public.workspaces' && columns['id'] === workspaceId) ||
    (table === 'public.api_keys' && columns['id'] === keyId)
  );
}

function isOfTasks({ table, columns }: Row, tasks: ReadonlySet<unknown>): boolean {
  return tasks.has(columns['task_id']) || (table === 'public.tasks' && tasks.has(columns['id']));
}

function idOf({ columns }: Row): unknown {
  return columns['id'];
}
