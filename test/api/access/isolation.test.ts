import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type GraphQLSchema } from 'graphql';
import { newId } from '../../../src/core/primitives/ids.js';
import { buildExecutableSchema, type SchemaServices } from '../../../src/graphql/server/schema.js';
import {
  openSubscriptionStream,
  STREAM_TRANSPORTS,
  type SubscriptionTarget,
} from '../../support/events/streams.js';
import { ARGUMENT_VALUES, type NonexistentIdKind } from '../../support/isolation/argument-values.js';
import {
  buildProbes,
  enumCombinations,
  type Intruder,
  type Probe,
  probeVariables,
} from '../../support/isolation/graphql-probes.js';
import { type IsolationSetup, setUpIsolation } from '../../support/isolation/isolation-setup.js';
import { ProbeRunner } from '../../support/isolation/probe-runner.js';
import { ROUTE_PROBES, uncoveredRoutesAndFields } from '../../support/isolation/route-probes.js';
import {
  buildRootFields,
  listFieldsAndArguments,
  type RootField,
} from '../../support/isolation/schema-documents.js';
import { StatementRecorder } from '../../support/isolation/statement-recorder.js';
import { writeSentinel } from '../../support/isolation/stream-probes.js';
import { waitFor } from '../../support/wait-for.js';

// test/support/isolation/README.md explains this test.

/** `ISOLATION_SEED=12345` repeats a run. */
const SEED = Number(process.env['ISOLATION_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const RANDOM_RUNS = 210;
const MINUTE_MS = 60_000;
/** The tables that callers read through Prisma Client, by `Database.withPrismaAsCaller`. */
const TABLES_READ_THROUGH_PRISMA = [
  'api_keys',
  'audit_log',
  'budgets',
  'budget_counters',
  'callbacks',
  'webhook_attempts',
];

const statements = new StatementRecorder();
let setup: IsolationSetup;
let intruders: Intruder[];
let schema: GraphQLSchema;
let roots: RootField[];
let queries: Probe[];
let mutations: Probe[];
let subscriptions: Probe[];
let runner: ProbeRunner;

beforeAll(async () => {
  setup = await setUpIsolation();
  intruders = [setup.attacker, ...setup.insiders];
  schema = await buildExecutableSchema({} as SchemaServices);
  roots = buildRootFields(schema);
  const probes = buildProbes(roots);
  const probesOf = (operation: string) => probes.filter(({ root }) => root.operation === operation);
  [queries, mutations, subscriptions] = [probesOf('query'), probesOf('mutation'), probesOf('subscription')];
  runner = new ProbeRunner(setup, statements);
  statements.start();
}, 3 * MINUTE_MS);
afterAll(async () => {
  statements.stop();
  await setup.close();
});

/** Sends every probe with its identifiers: all of them by the other workspace, and some by the insiders. */
async function sendAllProbes(probes: readonly Probe[]): Promise<void> {
  for (const intruder of intruders) {
    await runner.expectNoChanges(intruder, async () => {
      for (const probe of probes) {
        const identifiers = runner.identifiersToSend(probe, intruder);
        for (const identifier of intruder.isInsider ? identifiers.slice(0, 3) : identifiers)
          await runner.compareProbe(probe, identifier, intruder, 'neighbor');
      }
    });
  }
}

/** Sends random combinations of probe, identifier and intruder. */
async function sendRandomProbes(
  probes: readonly Probe[],
  senders: readonly Intruder[],
  numRuns: number,
): Promise<void> {
  const target = fc.tuple(fc.constantFrom(...senders), fc.constantFrom(...probes), fc.nat());
  const form = fc.tuple(fc.constantFrom<NonexistentIdKind>('neighbor', 'v7', 'v4'), fc.boolean());
  const compare = async (
    [intruder, probe, index]: [Intruder, Probe, number],
    [kind, upperCase]: [NonexistentIdKind, boolean],
  ) => {
    const identifiers = setup.probeValues.allIdentifiers(probe, intruder);
    const identifier = identifiers[index % identifiers.length];
    if (identifier !== undefined) await runner.compareProbe(probe, identifier, intruder, kind, { upperCase });
  };
  await fc.assert(fc.asyncProperty(target, form, compare), { numRuns, seed: SEED });
}

describe('foreign data', () => {
  test('exists: its owner can read it with the same requests', async () => {
    const { victim, attacker, probeValues } = setup;
    const unread = new Set<string>();
    for (const probe of queries.filter(({ argumentValue }) => argumentValue.form === 'id')) {
      unread.add(probe.argument.coordinate);
      // Not every object has what the argument selects: a task may have no callbacks, for example.
      for (const id of probeValues.identifiersToSend(probe, attacker)) {
        const variables = probeVariables(probe, victim.own, id);
        const { text } = await runner.client.graphql(victim.apiKey, probe.root.document, variables);
        if (!text.includes(id)) continue;
        unread.delete(probe.argument.coordinate);
        break;
      }
    }
    expect([...unread]).toEqual([]);
    const link = new URL(probeValues.signedImageLink(victim.own.image));
    expect((await runner.client.send(link.pathname + link.search, null)).status).toBe(200);
    const { text } = await runner.client.send(`/tasks/${victim.own.task}/events`, victim.apiKey);
    expect(text).toContain(victim.own.task);
  });

  test(
    'is not in the results of callers that read everything of their own',
    async () => {
      for (const intruder of intruders) {
        for (const root of roots.filter(({ operation }) => operation === 'query')) {
          const takesId = root.scalarArguments.some(
            ({ path, isRequired }) => isRequired && path.length === 1 && /_id$/.test(path[0] ?? ''),
          );
          for (const enumValues of enumCombinations(root))
            for (const own of takesId ? intruder.ownVariants : [intruder.own])
              await runner.readOwn(root, intruder, own, enumValues);
        }
        const tasks = await runner.client.graphql(intruder.apiKey, '{ tasks { nodes { id } } }', {});
        expect(tasks.text).toContain(intruder.own.task);
      }
    },
    3 * MINUTE_MS,
  );

  test(
    'is indistinguishable from nonexistent data in every argument of every query',
    async () => {
      await sendAllProbes(queries);
      await sendRandomProbes(queries, intruders, RANDOM_RUNS);
    },
    5 * MINUTE_MS,
  );

  test(
    'is indistinguishable from nonexistent data at every route',
    async () => {
      expect(uncoveredRoutesAndFields(setup.routes)).toEqual([]);
      const routeColumns = ['tasks.id', 'images.id', 'uploads.id', 'callbacks.id'];
      for (const intruder of intruders) {
        const { foreignByColumn, isInsider } = intruder;
        const fromRouteColumns = routeColumns.flatMap((column) =>
          (foreignByColumn.get(column) ?? []).slice(0, isInsider ? 1 : 3),
        );
        const fromOtherColumns = [...foreignByColumn.values()]
          .filter((_, index) => index % (isInsider ? 9 : 4) === 0)
          .flatMap((identifiers) => identifiers[0] ?? []);
        const identifiers = [...new Set([...fromRouteColumns, ...fromOtherColumns])];
        await runner.expectNoChanges(intruder, async () => {
          for (const route of Object.keys(ROUTE_PROBES))
            for (const identifier of route.includes('openapi') ? identifiers.slice(0, 2) : identifiers)
              await runner.compareRoute(route, identifier, intruder);
        });
      }
    },
    5 * MINUTE_MS,
  );

  test(
    'is indistinguishable from nonexistent data in every argument of every mutation, and stays unchanged',
    async () => {
      await sendAllProbes(mutations);
      const withIds = mutations.filter(({ argumentValue }) => argumentValue.form === 'id');
      for (const intruder of intruders)
        await runner.expectNoChanges(intruder, () =>
          sendRandomProbes(withIds, [intruder], RANDOM_RUNS / intruders.length),
        );
    },
    5 * MINUTE_MS,
  );

  test(
    'is indistinguishable from nonexistent data in every argument of every subscription, and its changes are not pushed',
    async () => {
      const { attacker } = setup;
      const probes = subscriptions.filter(
        ({ argument }) => !argument.isNested || argument.coordinate === 'Task.events(after:)',
      );
      for (const probe of probes) {
        const identifiers = runner.identifiersToSend(probe, attacker);
        for (const identifier of identifiers.filter((_, index) => index % 6 === 0))
          await runner.compareSubscription(probe, identifier, attacker);
      }
    },
    5 * MINUTE_MS,
  );

  test.each(STREAM_TRANSPORTS)('is not pushed over %s', async (transport) => {
    const { attacker, victim, app } = setup;
    const open = (target: SubscriptionTarget, key = attacker.apiKey) =>
      openSubscriptionStream({ url: app.url, key, transport, target });
    const foreignTaskId = attacker.foreignByColumn.get('tasks.id')?.[0] ?? '';
    const rejection = await open({ taskId: foreignTaskId }).ended;
    expect(rejection).toEqual(await open({ taskId: newId() }).ended);
    const attackerStreams = [open({}), open({ taskIds: [foreignTaskId, attacker.own.running] })];
    const victimStream = open({}, victim.apiKey);
    for (const stream of [...attackerStreams, victimStream]) {
      const ownTaskId = stream === victimStream ? victim.own.running : attacker.own.running;
      await waitFor('the stream to be open', async () => {
        await writeSentinel(app, ownTaskId);
        return stream.received.length > 0;
      });
    }
    for (let count = 0; count < 3; count += 1) await setup.addVictimTask();
    await waitFor('the event of the victim', () =>
      victimStream.received.some(({ type }) => type === 'TASK_REQUESTED'),
    );
    await writeSentinel(app, attacker.own.running);
    for (const stream of attackerStreams) {
      const countBefore = stream.received.length;
      await waitFor('the sentinel', async () => {
        await writeSentinel(app, attacker.own.running);
        return stream.received.length > countBefore + 1;
      });
      // Sentinels are TASK_SUBMITTED events.
      expect(stream.received.filter(({ type }) => type !== 'TASK_SUBMITTED')).toEqual([]);
    }
    for (const stream of [...attackerStreams, victimStream]) stream.cut();
  });

  test('stays unchanged while another workspace changes everything of its own', async () => {
    const { attacker } = setup;
    const rejections: string[] = [];
    await runner.expectNoChanges(attacker, async () => {
      const allMutations = roots.filter(({ operation }) => operation === 'mutation');
      const isDestructive = (root: RootField) => /delete|revoke/.test(root.name);
      const inOrder = [
        ...allMutations.filter((root) => !isDestructive(root)),
        ...allMutations.filter(isDestructive),
      ];
      for (const root of inOrder) {
        const texts: string[] = [];
        for (const enumValues of enumCombinations(root))
          texts.push((await runner.readOwn(root, attacker, attacker.own, enumValues)).text);
        if (texts.every((text) => /"userErrors":\[\{|"errors"/.test(text))) rejections.push(...texts);
      }
    });
    expect(rejections).toEqual([]);
  });
});

test('The isolation test has seen every field and probed every argument that can name data', () => {
  const { fields, scalarArguments } = listFieldsAndArguments(schema);
  const withoutRow = scalarArguments.filter((coordinate) => !ARGUMENT_VALUES[coordinate]);
  const obsoleteRows = Object.keys(ARGUMENT_VALUES).filter(
    (coordinate) => !scalarArguments.includes(coordinate),
  );
  expect({ withoutRow, obsoleteRows }).toEqual({ withoutRow: [], obsoleteRows: [] });
  const probed = scalarArguments.filter((coordinate) => 'form' in (ARGUMENT_VALUES[coordinate] ?? {}));
  expect(probed.filter((coordinate) => !runner.probedArguments.has(coordinate))).toEqual([]);
  expect(fields.filter((field) => !runner.seenFields.has(field))).toEqual([]);
  // Prisma Client's reads of callers were among the statements that were compared.
  const seen = [...statements.seen];
  const isRead = (table: string) => seen.some((text) => text.startsWith(`SELECT … FROM ${table} WHERE`));
  expect(TABLES_READ_THROUGH_PRISMA.filter((table) => !isRead(table))).toEqual([]);
  expect(seen).toContainEqual(expect.stringContaining(`set_config('role'`));
  const counts = `${runner.seenFields.size} fields, ${runner.probedArguments.size} arguments, ${runner.probedRoutes.size} routes, ${runner.client.requestCount} requests`;
  process.stdout.write(`Isolation test: ${counts}, seed ${SEED}, no leak.\n`);
});
