import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type GraphQLSchema } from 'graphql';
import { makeSchema, type SchemaServices } from '../../../src/graphql/server/schema.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { openStream, type Target, TRANSPORTS } from '../../support/events/streams.js';
import { waitFor } from '../../support/wait-for.js';
import { everythingIn, type RootField, rootFields } from '../../support/isolation/schema-documents.js';
import { FEEDS } from '../../support/isolation/argument-values.js';
import {
  type Asker,
  choicesOf,
  type Question,
  questionsOf,
  type Unknown,
  variablesOf,
} from '../../support/isolation/graphql-probes.js';
import { ROUTE_QUESTIONS, unknownToTheWalk } from '../../support/isolation/route-probes.js';
import { setStage, type Stage } from '../../support/isolation/isolation-setup.js';
import { Statements } from '../../support/isolation/statement-recorder.js';
import { Walker } from '../../support/isolation/probe-runner.js';
import { writeSentinel } from '../../support/isolation/stream-probes.js';

/** `WALK_SEED=12345` walks the same way again. */
const SEED = Number(process.env['WALK_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const RUNS = 210;
const MINUTE_MS = 60_000;

const statements = new Statements();
let stage: Stage;
let everyone: Asker[];
let schema: GraphQLSchema;
let roots: RootField[];
let queries: Question[];
let mutations: Question[];
let subscriptions: Question[];
let walker: Walker;

beforeAll(async () => {
  stage = await setStage();
  everyone = [stage.attacker, ...stage.insiders];
  schema = await makeSchema({} as SchemaServices);
  roots = rootFields(schema);
  const asked = (operation: string) => questionsOf(roots).filter(({ root }) => root.operation === operation);
  [queries, mutations, subscriptions] = [asked('query'), asked('mutation'), asked('subscription')];
  walker = new Walker(stage, statements);
  statements.start();
}, 3 * MINUTE_MS);
afterAll(async () => {
  statements.stop();
  await stage.close();
});

/** Every question with its names: all of them by another workspace, and some by those inside. */
async function walk(questions: readonly Question[]): Promise<void> {
  for (const asker of everyone) {
    await walker.unchanged(asker, async () => {
      for (const question of questions) {
        const names = walker.namesFor(question, asker);
        for (const name of asker.isInsider ? names.slice(0, 3) : names)
          await walker.compare(question, name, asker, 'neighbour');
      }
    });
  }
}

/** Any question with any name, by any of the askers. */
async function stray(
  questions: readonly Question[],
  askers: readonly Asker[],
  numRuns: number,
): Promise<void> {
  const asker = fc.constantFrom(...askers);
  const wanted = fc.tuple(asker, fc.constantFrom(...questions), fc.nat());
  const manner = fc.tuple(fc.constantFrom<Unknown>('neighbour', 'v7', 'v4'), fc.boolean());
  const compare = async (
    [who, question, place]: [Asker, Question, number],
    [unknown, inCapitals]: [Unknown, boolean],
  ) => {
    const names = stage.pairs.allNamesFor(question, who);
    const name = names[place % names.length];
    if (name !== undefined) await walker.compare(question, name, who, unknown, inCapitals);
  };
  await fc.assert(fc.asyncProperty(wanted, manner, compare), { numRuns, seed: SEED });
}

describe('what others have', () => {
  test('is there to be found: its own key is shown it', async () => {
    const { victim, attacker, pairs } = stage;
    const hidden = new Set<string>();
    for (const question of queries.filter(({ feed }) => feed.form === 'id')) {
      hidden.add(question.slot.coordinate);
      for (const name of pairs.namesFor(question, attacker).slice(0, 3)) {
        const variables = variablesOf(question, victim.own, name);
        const { text } = await walker.asking.graphql(victim.key, question.root.document, variables);
        if (text.includes(name)) hidden.delete(question.slot.coordinate);
      }
    }
    expect([...hidden]).toEqual([]);
    const { asking } = walker;
    const link = new URL(pairs.imageLink(victim.own.image));
    expect((await asking.send(link.pathname + link.search, null)).status).toBe(200);
    const { text } = await asking.send(`/tasks/${victim.own.task}/events`, victim.key);
    expect(text).toContain(victim.own.task);
  });

  test(
    'is not shown to those who ask for everything of their own',
    async () => {
      for (const asker of everyone) {
        for (const root of roots.filter(({ operation }) => operation === 'query')) {
          const owns = root.slots.some(
            ({ path, isRequired }) => isRequired && path.length === 1 && /_id$/.test(path[0] ?? ''),
          );
          for (const choices of choicesOf(root))
            for (const own of owns ? asker.ownThings : [asker.own])
              await walker.look(root, asker, own, choices);
        }
        const own = await walker.asking.graphql(asker.key, '{ tasks { nodes { id } } }', {});
        expect(own.text).toContain(asker.own.task);
      }
    },
    3 * MINUTE_MS,
  );

  test(
    'is as absent as what never was in every argument of every query',
    async () => {
      await walk(queries);
      await stray(queries, everyone, RUNS);
    },
    5 * MINUTE_MS,
  );

  test(
    'is as absent at every route',
    async () => {
      expect(unknownToTheWalk(stage.routes)).toEqual([]);
      const right = ['tasks.id', 'images.id', 'uploads.id', 'callbacks.id'];
      for (const asker of everyone) {
        const columns = [...asker.foreign];
        const ofRight = columns.flatMap(([column, all]) =>
          right.includes(column) ? all.slice(0, asker.isInsider ? 1 : 3) : [],
        );
        const ofOthers = columns
          .filter((_, index) => index % (asker.isInsider ? 9 : 4) === 0)
          .flatMap(([, all]) => all[0] ?? []);
        const names = [...ofRight, ...ofOthers];
        await walker.unchanged(asker, async () => {
          for (const route of Object.keys(ROUTE_QUESTIONS))
            for (const name of new Set(route.includes('openapi') ? names.slice(0, 2) : names))
              await walker.compareRoute(route, name, asker);
        });
      }
    },
    5 * MINUTE_MS,
  );

  test(
    'is as absent, and stays as it is, in every argument of every mutation',
    async () => {
      await walk(mutations);
      const byId = mutations.filter(({ feed }) => feed.form === 'id');
      for (const asker of everyone)
        await walker.unchanged(asker, () => stray(byId, [asker], RUNS / everyone.length));
    },
    5 * MINUTE_MS,
  );

  test(
    'is as absent in every argument of every subscription, and nothing that happens meanwhile is pushed',
    async () => {
      const { attacker } = stage;
      for (const question of subscriptions.filter(
        ({ slot }) => !slot.isNested || slot.coordinate === 'Task.events(after:)',
      )) {
        const names = walker.namesFor(question, attacker);
        for (const name of names.filter((_, index) => index % 6 === 0))
          await walker.compareWatch(question, name, attacker);
      }
    },
    5 * MINUTE_MS,
  );

  test.each(TRANSPORTS)('is not pushed to others over %s', async (transport) => {
    const { attacker, victim, app } = stage;
    const open = (target: Target, key = attacker.key) => openStream({ url: app.url, key, transport, target });
    const foreign = attacker.foreign.get('tasks.id')?.[0] ?? '';
    const refused = await open({ taskId: foreign }).ended;
    expect(refused).toEqual(await open({ taskId: newId() }).ended);
    const streams = [open({}), open({ taskIds: [foreign, attacker.own.running] })];
    const own = open({}, victim.key);
    for (const stream of [...streams, own]) {
      const ownTask = stream === own ? victim.own.running : attacker.own.running;
      await waitFor('the stream to be open', async () => {
        await writeSentinel(app, ownTask);
        return stream.received.length > 0;
      });
    }
    for (let time = 0; time < 3; time += 1) await stage.happenToVictim();
    await waitFor('the victim to be told', () => own.received.some(({ type }) => type === 'TASK_REQUESTED'));
    await writeSentinel(app, attacker.own.running);
    for (const stream of streams) {
      const before = stream.received.length;
      await waitFor('the last event', async () => {
        await writeSentinel(app, attacker.own.running);
        return stream.received.length > before + 1;
      });
      expect(stream.received.filter(({ type }) => type !== 'TASK_SUBMITTED')).toEqual([]);
    }
    for (const stream of [...streams, own]) stream.cut();
  });

  test('stays as it is while others change everything of their own', async () => {
    const { attacker } = stage;
    const refused: string[] = [];
    await walker.unchanged(attacker, async () => {
      const changing = roots.filter(({ operation }) => operation === 'mutation');
      const takingAway = (root: RootField) => /delete|revoke/.test(root.name);
      for (const root of [...changing.filter((each) => !takingAway(each)), ...changing.filter(takingAway)]) {
        const answers: string[] = [];
        for (const choices of choicesOf(root))
          answers.push((await walker.look(root, attacker, attacker.own, choices)).text);
        if (answers.every((text) => /"userErrors":\[\{|"errors"/.test(text))) refused.push(...answers);
      }
    });
    expect(refused).toEqual([]);
  });
});

test('the walk has met every field, and asked about every argument that can name something', () => {
  const { fields, slots } = everythingIn(schema);
  const unknown = slots.filter((slot) => !FEEDS[slot]);
  const gone = Object.keys(FEEDS).filter((slot) => !slots.includes(slot));
  expect({ unknown, gone }).toEqual({ unknown: [], gone: [] });
  const naming = slots.filter((slot) => 'form' in (FEEDS[slot] ?? {}));
  expect(naming.filter((slot) => !walker.slots.has(slot))).toEqual([]);
  expect(fields.filter((field) => !walker.fields.has(field))).toEqual([]);
  const counts = `${walker.fields.size} fields, ${walker.slots.size} arguments, ${walker.routes.size} routes, ${walker.asking.count} questions`;
  process.stdout.write(`isolation walk: ${counts}, seed ${SEED}; nothing leaked\n`);
});
