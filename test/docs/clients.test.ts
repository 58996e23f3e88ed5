import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildSchema, parse, validate } from 'graphql';
import ts from 'typescript';
import {
  TaskEventPageDocument,
  type TaskEventPageQuery,
  GenerateImagesDocument,
  type TaskEventType,
} from '../../clients/operations.js';
import { newId } from '../../src/core/primitives/ids.js';
import { TestApp } from '../support/app/test-app.js';
import { createTestDatabase } from '../support/setup/test-database.js';
import { freePort } from '../support/net/free-port.js';
import { TcpProxy } from '../support/net/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { addWorkspaceWithKey } from '../support/access/workspaces.js';

interface RequestedTask {
  id: string;
  eventCursor: string;
  count: number;
}

/** Inside node_modules, so that the programs find the packages that they import. */
const PROGRAMS_DIR = join('node_modules', '.cache');
/** Generous: all programs run at once, and each waits longer after every failed attempt to reconnect. */
const TIMEOUT = { timeoutMs: 60_000 };

const page = await readFile('docs/CLIENTS.md', 'utf8');
const programs = page.split(/^## /m).flatMap((section) => {
  const [title = ''] = section.split('\n');
  const blocks = [...section.matchAll(/^```(js|sh)\n(.*?)^```$/gms)];
  return blocks.map(([, language = '', code = '']) => ({ title, language, code }));
});

/** Runs the program of a section through lost connections. Returns what it printed and what it should have printed. */
type Scenario = (title: string) => Promise<{ printed: string[]; written: string[] }>;
const scenarios: [title: string, description: string, scenario: Scenario][] = [
  ['graphql-ws', 'subscribed to the workspace', subscribeToWorkspace],
  ['graphql-ws', 'over a connection that fails silently', subscribeOverSilentNetwork],
  ['Apollo Client', 'subscribed to a task', subscribeToTask],
  ['urql', 'subscribed to a task', subscribeToTask],
  ['graphql-sse', 'subscribed to the workspace', subscribeToWorkspace],
  ['EventSource', 'subscribed to the workspace', subscribeToWorkspace],
  ['EventSource', 'subscribed to a task', subscribeToTask],
  ['curl', 'subscribed to the workspace', subscribeToWorkspace],
  ['curl', 'subscribed to a task', subscribeToTask],
];

let app: TestApp;
let folder: string;
let results: ReturnType<Scenario>[] = [];
const running = new Set<RunningProgram>();
const closeNetworks: (() => Promise<void>)[] = [];

beforeAll(async () => {
  app = await TestApp.start();
  await mkdir(PROGRAMS_DIR, { recursive: true });
  folder = await mkdtemp(join(PROGRAMS_DIR, 'clients-'));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(join(folder, 'resume.js'), asJavaScript(await readFile('clients/resume.ts', 'utf8')));
  for (const { title, language, code } of programs) await writeFile(fileOf(title, language), code);
});
afterAll(async () => {
  await Promise.all([...running].map((program) => program.stop()));
  await Promise.allSettled(results);
  await Promise.all(closeNetworks.map((close) => close()));
  await app.stop();
  await rm(folder, { recursive: true, force: true });
});

test('the GraphQL documents of CLIENTS.md are valid against the schema', async () => {
  const schema = buildSchema(await readFile('schema.graphql', 'utf8'));
  const blocks = [...page.matchAll(/^```graphql\n(.*?)^```$/gms)];
  const embedded = programs.flatMap(({ code }) => [...code.matchAll(/`(\s*subscription [^`]*)`/g)]);
  const documents = [...blocks, ...embedded].map(([, document = '']) => document);
  expect(documents).toHaveLength(6);
  for (const document of documents) expect(validate(schema, parse(document))).toEqual([]);
});

describe('programs of CLIENTS.md', () => {
  // All scenarios run at once, because they spend most of their time waiting to reconnect.
  beforeAll(() => {
    results = scenarios.map(([title, , scenario]) => scenario(title));
    for (const result of results) result.catch(() => undefined);
  });

  test('every program has a scenario', () => {
    expect(new Set(scenarios.map(([title]) => title))).toEqual(new Set(programs.map(({ title }) => title)));
    expect(programs).toHaveLength(6);
  });

  test.each(scenarios.map(([title, description], index) => ({ title, description, index })))(
    '$title, $description, prints every event once and in order across lost connections',
    async ({ index }) => {
      const { printed, written } = (await results[index]) ?? {};
      expect(printed).toEqual(written);
    },
    2 * TIMEOUT.timeoutMs,
  );
});

test('programs of CLIENTS.md that subscribe to the workspace resume after a restart of Darkroom', async () => {
  const database = await createTestDatabase();
  const options = {
    databaseUrl: database.url,
    dataDir: join(folder, 'data'),
    environment: { PORT: String(await freePort()) },
  };
  const before = await TestApp.start(options);
  const { apiKey: key, url } = before;
  const { id, eventCursor } = await before.generate({ prompt: 'before the restart' });
  const titles = scenarios
    .filter(([, , scenario]) => scenario === subscribeToWorkspace)
    .map(([title]) => title);
  const started = titles.map((title) => start(title, url, { DARKROOM_KEY: key, AFTER: eventCursor }));
  await Promise.all(started.map((program) => program.waitForLines(1)));
  await before.waitUntilSettled(id);
  await before.stop();

  const after = await TestApp.start({ ...options, apiKey: key });
  const customer = new Customer(after, key);
  await customer.waitUntilSettled(await customer.generate('after the restart', 2));
  const written = await customer.events();
  await Promise.all(started.map((program) => program.waitForLines(written.length)));
  await Promise.all(started.map((program) => program.stop()));
  await after.stop();
  await database.drop();
  expect(started.map(({ printed }) => printed)).toEqual(titles.map(() => written));
}, 120_000);

test(
  'programs of CLIENTS.md exit with an error message if the key is wrong',
  async () => {
    const outcomes = await Promise.all(
      programs.map(async ({ title }) => {
        const program = start(title, app.url, { DARKROOM_KEY: 'dk_wrong', TASK_ID: newId(), AFTER: 'any' });
        await program.waitForExit();
        return { title, printed: program.printed, hasErrorOutput: program.errorOutput !== '' };
      }),
    );
    expect(outcomes).toEqual(programs.map(({ title }) => ({ title, printed: [], hasErrorOutput: true })));
  },
  TIMEOUT.timeoutMs,
);

/**
 * Creates events while the program is connected, while it is disconnected, and while its connection is being cut. In two
 * rounds nothing listens at its address until the network is restored. In one a proxy answers with 502. The program does
 * not end by itself.
 */
async function subscribeToWorkspace(title: string) {
  const customer = await Customer.create();
  const { eventCursor } = await customer.generate('the first');
  const network = await openNetwork();
  const program = start(title, network.url, { DARKROOM_KEY: customer.key, AFTER: eventCursor });
  await program.waitForLines(1);
  for (const round of [1, 2, 3]) {
    const before = program.printed.length;
    await customer.generate(`seen in round ${round}`, 4);
    await program.waitForLines(before + 2);
    await network.proxy.cut();
    await customer.waitUntilSettled(await customer.generate(`missed in round ${round}`, 2));
    if (round === 2) await refuseOnce(network.url);
    await network.proxy.restore();
    await program.waitForLines(before + 3);
  }
  await customer.waitUntilSettled(await customer.generate('the last'));
  const written = await customer.events();
  await program.waitForLines(written.length);
  await program.stop();
  return { printed: program.printed, written };
}

/** Cuts the connection before the task succeeds and again between its images. The program exits when the task is settled. */
async function subscribeToTask(title: string) {
  const customer = await Customer.create();
  const task = await customer.generate('x [sandbox: delay=3s]', 4);
  const { proxy, url } = await openNetwork();
  const environment = { DARKROOM_KEY: customer.key, TASK_ID: task.id, AFTER: task.eventCursor };
  const program = start(title, url, environment);
  await program.waitForLines(1);
  await proxy.cut();
  await customer.waitUntilSettled(await customer.generate('of another task'));
  await customer.waitForEvents(task, 'TASK_SUCCEEDED');
  await proxy.restore();
  await program.waitForLines(3);
  await proxy.cut();
  await customer.waitUntilSettled(task);
  await proxy.restore();
  expect(await program.waitForExit()).toBe(0);
  return { printed: program.printed, written: await customer.events(task.id) };
}

/** The network stops carrying bytes in both directions, but closes no connection. */
async function subscribeOverSilentNetwork(title: string) {
  const customer = await Customer.create();
  const { eventCursor } = await customer.generate('the first');
  const network = await SilentNetwork.open();
  closeNetworks.push(() => network.close());
  const program = start(title, network.url, { DARKROOM_KEY: customer.key, AFTER: eventCursor });
  await program.waitForLines(1);
  network.fallSilent();
  await customer.waitUntilSettled(await customer.generate('during the silence', 2));
  const written = await customer.events();
  await program.waitForLines(written.length);
  await program.stop();
  return { printed: program.printed, written };
}

async function openNetwork(): Promise<{ proxy: TcpProxy; url: string }> {
  const { proxy, url } = await TcpProxy.inFrontOf(app.url);
  closeNetworks.push(() => proxy.cut());
  return { proxy, url: new URL(url).origin };
}

/** Listens at the address of Darkroom until one request has been answered with 502. */
async function refuseOnce(url: string): Promise<void> {
  const server = createHttpServer((_request, response) =>
    response.writeHead(502, { connection: 'close' }).end(),
  );
  const port = Number(new URL(url).port);
  await once(server.listen(port, '127.0.0.1'), 'listening');
  await once(server, 'request');
  await once(server.close(), 'close');
}

/** A client with a workspace of its own. */
class Customer {
  constructor(
    private readonly service: TestApp,
    readonly key: string,
  ) {}

  static async create(): Promise<Customer> {
    return new Customer(app, await addWorkspaceWithKey(app));
  }

  async generate(prompt: string, count = 1): Promise<RequestedTask> {
    const input = { prompt, count };
    const { generateImages } = await this.service.query(GenerateImagesDocument, { input }, this.key);
    if (!generateImages.task) throw new Error(`Refused: ${JSON.stringify(generateImages.userErrors)}`);
    return { ...generateImages.task, count };
  }

  /** Every event of the workspace, or of one task, in the format of the programs: `TYPE cursor`. */
  async events(taskId?: string): Promise<string[]> {
    return (await this.history(taskId)).map(({ type, cursor }) => `${type} ${cursor}`);
  }

  async waitForEvents({ id }: RequestedTask, type: TaskEventType, times = 1): Promise<void> {
    const countEvents = async () => (await this.history(id)).filter((event) => event.type === type).length;
    await waitFor(`${times} ${type} of task ${id}`, async () => (await countEvents()) === times, TIMEOUT);
  }

  async waitUntilSettled(task: RequestedTask): Promise<void> {
    await this.waitForEvents(task, 'IMAGE_STORED', task.count);
  }

  private async history(taskId?: string): Promise<TaskEventPageQuery['taskEvents']['nodes']> {
    const filter = { taskIds: taskId ? [taskId] : [] };
    const { taskEvents } = await this.service.query(TaskEventPageDocument, { first: 100, filter }, this.key);
    if (taskEvents.pageInfo.hasNextPage) throw new Error('The events do not fit into one page.');
    return taskEvents.nodes;
  }
}

/** A child process that runs a program of the page. */
class RunningProgram {
  readonly printed: string[] = [];
  errorOutput = '';
  private exitCode: number | null | undefined;
  private readonly child: ChildProcessByStdio<null, Readable, Readable>;
  private readonly closed: Promise<unknown>;
  /** Whether the program has exited and all its output was read, which can be a moment later. */
  private isClosed = false;

  constructor(file: string, environment: Record<string, string>) {
    this.child = spawn(file.endsWith('.sh') ? 'bash' : process.execPath, [file], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, so that stop() also kills the curl that a shell program starts.
      detached: true,
    });
    createInterface(this.child.stdout).on('line', (line) => this.printed.push(line));
    this.child.stderr.on('data', (chunk: Buffer) => (this.errorOutput += chunk.toString()));
    this.child.once('exit', (code) => (this.exitCode = code));
    this.closed = once(this.child, 'close').finally(() => (this.isClosed = true));
    running.add(this);
  }

  async waitForLines(count: number): Promise<void> {
    await this.waitUntil(`${count} lines`, () => {
      if (this.printed.length >= count) return true;
      if (this.isClosed) throw new Error(`The program exited with ${this.exitCode}.`);
      return false;
    });
  }

  /** Waits until the program exits by itself. Returns its exit code. */
  async waitForExit(): Promise<number | null | undefined> {
    await this.waitUntil('the program to exit', () => this.exitCode !== undefined);
    await this.stop();
    return this.exitCode;
  }

  async stop(): Promise<void> {
    if (this.exitCode === undefined) process.kill(-Number(this.child.pid), 'SIGKILL');
    await this.closed;
    running.delete(this);
  }

  private async waitUntil(what: string, probe: () => boolean): Promise<void> {
    await waitFor(what, probe, TIMEOUT).catch((error: unknown) => {
      throw new Error([String(error), 'The program printed:', ...this.printed, this.errorOutput].join('\n'));
    });
  }
}

/** A network like the one a phone leaves: packets are lost, but neither end learns that the connection is dead. */
class SilentNetwork {
  private readonly sockets = new Set<Socket>();
  private readonly server = createServer((client) => {
    const { hostname: host, port } = new URL(app.url);
    const ends = [client, connect({ host, port: Number(port) })] as const;
    for (const [from, to] of [ends, [...ends].reverse()] as [Socket, Socket][]) {
      this.sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.sockets.delete(from);
        if (!from.isPaused()) to.destroy();
      });
      from.pipe(to);
    }
  });

  static async open(): Promise<SilentNetwork> {
    const network = new SilentNetwork();
    await once(network.server.listen(0, '127.0.0.1'), 'listening');
    return network;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Stops the current connections. New ones work. */
  fallSilent(): void {
    for (const socket of this.sockets) socket.unpipe().pause();
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await once(this.server.close(), 'close');
  }
}

function start(title: string, url: string, environment: Record<string, string>): RunningProgram {
  const program = programs.find((candidate) => candidate.title === title);
  if (!program) throw new Error(`CLIENTS.md has no program in its section "${title}".`);
  const file = fileOf(program.title, program.language);
  return new RunningProgram(file, { DARKROOM_URL: url, ...environment });
}

function fileOf(title: string, language: string): string {
  return join(folder, `${title.replaceAll(' ', '-')}.${language}`);
}

function asJavaScript(source: string): string {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  return ts.transpileModule(source, { compilerOptions }).outputText;
}
