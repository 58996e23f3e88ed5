import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { assertObjectType, buildSchema, getNamedType, isLeafType, isObjectType } from 'graphql';
import { postGraphql, queryField } from '../../support/app/graphql-request.js';
import { TestApp } from '../../support/app/test-app.js';

const schema = buildSchema(readFileSync('schema.graphql', 'utf8'));

/** Selections of each field of a type, with all below it that is not an object in turn. */
function selectionsOf(typeName: string): string[] {
  return fieldsOf(typeName).map(({ name, type }) => {
    const namedType = getNamedType(type);
    if (!isObjectType(namedType)) return name;
    if (namedType.name.endsWith('Connection'))
      return `${name}(first: 5) { nodes { id } pageInfo { endCursor } }`;
    const leafs = fieldsOf(namedType.name).filter((field) => isLeafType(getNamedType(field.type)));
    // That of another task is of the moment when it was read.
    const names = leafs.map((leaf) => leaf.name).filter((leaf) => leaf !== 'eventCursor');
    return `${name} { ${names.join(' ')} }`;
  });
}

function fieldsOf(typeName: string) {
  return Object.values(assertObjectType(schema.getType(typeName)).getFields());
}

const SELECTIONS = [
  ...selectionsOf('Task'),
  ...selectionsOf('Image').map((field) => `images { ${field} }`),
  ...selectionsOf('Image').map((field) => `lateImages { ${field} }`),
  '... on Task { ...TaskPart } status',
];
const FRAGMENTS =
  'fragment TaskPart on Task { first: images { ...ImagePart } prompt } fragment ImagePart on Image { width }';

let app: TestApp;
/** A task with everything that a request can have, an edit, a retry and a failed one, in this order. */
const ids: string[] = [];
beforeAll(async () => {
  app = await TestApp.start({
    environment: { PRICES_FILE: 'test/support/billing/prices.json' },
    tuning: { sandboxDelayMs: 0 },
  });
  const request = async (mutation: string, inputType: string, input: object) => {
    const { task } = await queryField<{ task: { id: string } }>(
      app,
      `mutation ($input: ${inputType}!) { ${mutation}(input: $input) { task { id } } }`,
      { input },
    );
    ids.push(task.id);
    return app.waitUntilSettled(task.id);
  };
  const { id, images } = await request('generateImages', 'GenerateImagesInput', {
    prompt: 'all of it',
    model: 'flux-dev',
    size: '1024x768',
    count: 2,
    metadata: { album: 7 },
    priority: 'HIGH',
    idempotencyKey: 'all of it',
  });
  await request('editImage', 'EditImageInput', { prompt: 'an edit', sourceImageId: images[0]?.id });
  await request('retryTask', 'RetryTaskInput', { id });
  await request('generateImages', 'GenerateImagesInput', { prompt: 'refused [sandbox: error=forbidden]' });
  // An image that arrived late.
  await app.rows('UPDATE images SET late = true WHERE task_id = $1 AND index = 1', [id]);
});
afterAll(() => app.stop());

/** The columns that an operation needs are read, and the images with them. Events load their tasks whole. */
describe('what is selected alone is as it is beside everything', () => {
  test.each(SELECTIONS)('%s', async (selection) => {
    const fragments = selection.includes('TaskPart') ? FRAGMENTS : '';
    const read = <Value>(query: string, variables: object = {}) =>
      queryField<Value>(app, query + fragments, variables);
    const { nodes, edges } = await read<{ nodes: object[]; edges: { node: object }[] }>(
      `{ tasks(first: 10) { nodes { ${selection} } edges { node { ${selection} } } } }`,
    );
    expect(edges.map(({ node }) => node)).toEqual(nodes);
    expect(nodes).toHaveLength(ids.length);
    for (const [index, id] of ids.entries()) {
      const events = await read<{ nodes: { task: object }[] }>(
        `query ($id: ID!) { taskEvents(first: 1, filter: { taskIds: [$id] }) { nodes { task { ${selection} } } } }`,
        { id },
      );
      const expected = events.nodes[0]?.task;
      expect(expected).toBeDefined();
      const task = await read<object>(`query ($id: ID!) { task(id: $id) { ${selection} } }`, { id });
      expect(task).toEqual(expected);
      expect(nodes.at(-1 - index)).toEqual(expected);
    }
  });

  test('each place has what it selects when another one selects more', async () => {
    const [first = '', second = ''] = ids;
    const details = 'upstreamTaskId cost { final } images { id upstreamUrl sha256 }';
    const { data } = await postGraphql<Record<string, Record<string, unknown>>>(
      app,
      `query ($first: ID!, $second: ID!, $no: Boolean!) {
        part: task(id: $first) { id images { id } }
        whole: task(id: $second) { id ${details} }
        merged: task(id: $first) { ${details} }
        merged: task(id: $first) { id }
        tasks(first: 10) { nodes { id } edges { node { id ${details} prompt @include(if: $no) } } }
        more: taskEvents(first: 100, filter: { types: [TASK_REQUESTED] }) { nodes { task { id ${details} } } }
      }`,
      { first, second, no: false },
    );
    const { part, whole, merged, tasks, more } = data ?? {};
    const expected = (more?.['nodes'] as { task: { id: string; images: { id: string }[] } }[]).map(
      ({ task }) => task,
    );
    expect(expected.map(({ id }) => id)).toEqual(ids);
    expect(part).toEqual({ id: first, images: expected[0]?.images.map(({ id }) => ({ id })) });
    expect(whole).toEqual(expected[1]);
    expect(merged).toEqual(expected[0]);
    expect(tasks?.['nodes']).toEqual(ids.toReversed().map((id) => ({ id })));
    expect(tasks?.['edges']).toEqual(expected.toReversed().map((node) => ({ node })));
  });
});
