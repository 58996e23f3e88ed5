import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildSchema, parse, validate } from 'graphql';
import ts from 'typescript';
import {
  EventPageDocument,
  type EventPageQuery,
  GenerateImagesDocument,
  type TaskEventType,
} from '../../clients/operations.js';
import { newId } from '../../src/core/primitives/ids.js';
import { TestApp } from '../support/app/test-app.js';
import { createTestDatabase } from '../support/setup/test-database.js';
import { freePort } from '../support/net/free-port.js';
import { TcpProxy } from '../support/net/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { addWorkspace } from '../support/access/workspaces.js';

interface Wish {
  id: string;
  cursor: string;
  count: number;
}

/** Below the packages that the programs import. */
const PROGRAMS_IN = join('node_modules', '.cache');
/** They all run at the same time, and wait longer after each attempt to come back. */
const PATIENCE = { timeoutMs: 60_000 };

const page = await readFile('docs/CLIENTS.md', 'utf8');
const programs = page.split(/^## /m).flatMap((section) => {
  const [title = ''] = section.split('\n');
  const blocks = [...section.matchAll(/^```(js|sh)\n(.*?)^```$/gms)];
  return blocks.map(([, language = '', code = '']) => ({ title, language, code }));
});

type Story = (title: string) => Promise<{ printed: string[]; written: string[] }>;
const stories: [title: string, watching: string, story: Story][] = [
  ['graphql-ws', 'the workspace', watchWorkspace],
  ['graphql-ws', 'over a connection that dies in silence', watchOverSilence],
  ['Apollo Client', 'a task', watchTask],
  ['urql', 'a task', watchTask],
  ['graphql-sse', 'the workspace', watchWorkspace],
  ['EventSource', 'the workspace', watchWorkspace],
  ['EventSource', 'a task', watchTask],
  ['curl', 'the workspace', watchWorkspace],
  ['curl', 'a task', watchTask],
];

let app: TestApp;
let folder: string;
let told: ReturnType<Story>[] = [];
const running = new Set<RunningProgram>();
const networks: (() => Promise<void>)[] = [];

beforeAll(async () => {
  app = await TestApp.start();
  await mkdir(PROGRAMS_IN, { recursive: true });
  folder = await mkdtemp(join(PROGRAMS_IN, 'clients-'));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(join(folder, 'resume.js'), asJavaScript(await readFile('clients/resume.ts', 'utf8')));
  for (const { title, language, code } of programs) await writeFile(fileOf(title, language), code);
});
afterAll(async () => {
  await Promise.all([...running].map((program) => program.stop()));
  await Promise.allSettled(told);
  await Promise.all(networks.map((close) => close()));
  await app.stop();
  await rm(folder, { recursive: true, force: true });
});

it('The documents of CLIENTS.md fit the schema', async () => {
  const schema = buildSchema(await readFile('schema.graphql', 'utf8'));
  const blocks = [...page.matchAll(/^```graphql\n(.*?)^```$/gms)];
  const within = programs.flatMap(({ code }) => [...code.matchAll(/`(\s*subscription [^`]*)`/g)]);
  const documents = [...blocks, ...within].map(([, document = '']) => document);
  expect(documents).toHaveLength(6);
  for (const document of documents) expect(validate(schema, parse(document))).toEqual([]);
});

describe('The programs of CLIENTS.md print every event once and in order, across lost connections:', () => {
  // All at once: what they wait for is mostly the next attempt to come back.
  beforeAll(() => {
    told = stories.map(([title, , story]) => story(title));
    for (const story of told) story.catch(() => undefined);
  });

  it('every program is run', () => {
    expect(new Set(stories.map(([title]) => title))).toEqual(new Set(programs.map(({ title }) => title)));
    expect(programs).toHaveLength(6);
  });

  it.each(stories.map(([title, watching], index) => ({ title, watching, index })))(
    '$title, $watching',
    async ({ index }) => {
      const { printed, written } = (await told[index]) ?? {};
      expect(printed).toEqual(written);
    },
    2 * PATIENCE.timeoutMs,
  );
});

it('The programs of CLIENTS.md that watch the workspace go on after a restart of Darkroom', async () => {
  const database = await createTestDatabase();
  const options = {
    databaseUrl: database.url,
    dataDir: join(folder, 'data'),
    environment: { PORT: String(await freePort()) },
  };
  const before = await TestApp.start(options);
  const { key, url } = before;
  const { id, cursor } = await before.generate({ prompt: 'before the restart' });
  const titles = stories.filter(([, , story]) => story === watchWorkspace).map(([title]) => title);
  const watching = titles.map((title) => start(title, url, { DARKROOM_KEY: key, AFTER: cursor }));
  await Promise.all(watching.map((program) => program.prints(1)));
  await before.settled(id);
  await before.stop();

  const after = await TestApp.start({ ...options, key });
  const customer = new Customer(after, key);
  await customer.settled(await customer.generate('after the restart', 2));
  const written = await customer.events();
  await Promise.all(watching.map((program) => program.prints(written.length)));
  await Promise.all(watching.map((program) => program.stop()));
  await after.stop();
  await database.drop();
  expect(watching.map(({ printed }) => printed)).toEqual(titles.map(() => written));
}, 120_000);

it(
  'The programs of CLIENTS.md end and say why when the key is wrong',
  async () => {
    const ended = await Promise.all(
      programs.map(async ({ title }) => {
        const program = start(title, app.url, { DARKROOM_KEY: 'dk_wrong', TASK_ID: newId(), AFTER: 'any' });
        await program.ends();
        return { title, printed: program.printed, saysWhy: program.complaints !== '' };
      }),
    );
    expect(ended).toEqual(programs.map(({ title }) => ({ title, printed: [], saysWhy: true })));
  },
  PATIENCE.timeoutMs,
);

/**
 * Events while the program is there, while it is away, and while it is being cut off. Twice there is nobody to come back
 * to, once there is a proxy that says so. The program does not end by itself.
 */
async function watchWorkspace(title: string) {
  const customer = await Customer.appear();
  const { cursor } = await customer.generate('to begin with');
  const network = await openNetwork();
  const program = start(title, network.url, { DARKROOM_KEY: customer.key, AFTER: cursor });
  await program.prints(1);
  for (const round of [1, 2, 3]) {
    const before = program.printed.length;
    await customer.generate(`seen in round ${round}`, 4);
    await program.prints(before + 2);
    await network.proxy.cut();
    await customer.settled(await customer.generate(`missed in round ${round}`, 2));
    if (round === 2) await refuseOnce(network.url);
    await network.proxy.restore();
    await program.prints(before + 3);
  }
  await customer.settled(await customer.generate('at last'));
  const written = await customer.events();
  await program.prints(written.length);
  await program.stop();
  return { printed: program.printed, written };
}

/** The program is cut off before the task's end, and among its pictures. It ends when the task has nothing more to tell. */
async function watchTask(title: string) {
  const customer = await Customer.appear();
  const task = await customer.generate('x [sandbox: delay=3s]', 4);
  const { proxy, url } = await openNetwork();
  const place = { DARKROOM_KEY: customer.key, TASK_ID: task.id, AFTER: task.cursor };
  const program = start(title, url, place);
  await program.prints(1);
  await proxy.cut();
  await customer.settled(await customer.generate('of no concern'));
  await customer.happened(task, 'TASK_SUCCEEDED');
  await proxy.restore();
  await program.prints(3);
  await proxy.cut();
  await customer.settled(task);
  await proxy.restore();
  expect(await program.ends()).toBe(0);
  return { printed: program.printed, written: await customer.events(task.id) };
}

/** Nobody closes anything: the network takes no more bytes of the connection, and brings none. */
async function watchOverSilence(title: string) {
  const customer = await Customer.appear();
  const { cursor } = await customer.generate('to begin with');
  const network = await SilentNetwork.open();
  networks.push(() => network.close());
  const program = start(title, network.url, { DARKROOM_KEY: customer.key, AFTER: cursor });
  await program.prints(1);
  network.fallSilent();
  await customer.settled(await customer.generate('into the silence', 2));
  const written = await customer.events();
  await program.prints(written.length);
  await program.stop();
  return { printed: program.printed, written };
}

async function openNetwork(): Promise<{ proxy: TcpProxy; url: string }> {
  const { proxy, url } = await TcpProxy.before(app.url);
  networks.push(() => proxy.cut());
  return { proxy, url: new URL(url).origin };
}

/** Stands where Darkroom was, until somebody has come and was told that it is not there. */
async function refuseOnce(url: string): Promise<void> {
  const server = createHttpServer((_request, response) =>
    response.writeHead(502, { connection: 'close' }).end(),
  );
  const port = Number(new URL(url).port);
  await once(server.listen(port, '127.0.0.1'), 'listening');
  await once(server, 'request');
  await once(server.close(), 'close');
}

/** A workspace of its own, and what its key can ask for. */
class Customer {
  constructor(
    private readonly service: TestApp,
    readonly key: string,
  ) {}

  static async appear(): Promise<Customer> {
    return new Customer(app, await addWorkspace(app));
  }

  async generate(prompt: string, count = 1): Promise<Wish> {
    const input = { prompt, count };
    const { generateImages } = await this.service.query(GenerateImagesDocument, { input }, this.key);
    if (!generateImages.task) throw new Error(`Refused: ${JSON.stringify(generateImages.userErrors)}`);
    return { ...generateImages.task, count };
  }

  /** Every event of the workspace, or of one task, as the programs print them. */
  async events(taskId?: string): Promise<string[]> {
    return (await this.history(taskId)).map(({ type, cursor }) => `${type} ${cursor}`);
  }

  async happened({ id }: Wish, type: TaskEventType, times = 1): Promise<void> {
    const seen = async () => (await this.history(id)).filter((event) => event.type === type).length;
    await waitFor(`${times} ${type} of task ${id}`, async () => (await seen()) === times, PATIENCE);
  }

  async settled(wish: Wish): Promise<void> {
    await this.happened(wish, 'IMAGE_STORED', wish.count);
  }

  private async history(taskId?: string): Promise<EventPageQuery['taskEvents']['nodes']> {
    const filter = { taskIds: taskId ? [taskId] : [] };
    const { taskEvents } = await this.service.query(EventPageDocument, { first: 100, filter }, this.key);
    if (taskEvents.pageInfo.hasNextPage) throw new Error('There are more events than a page holds.');
    return taskEvents.nodes;
  }
}

/** A program of the page as a process of its own. */
class RunningProgram {
  readonly printed: string[] = [];
  complaints = '';
  private exitCode: number | null | undefined;
  private readonly child: ChildProcessByStdio<null, Readable, Readable>;
  private readonly closed: Promise<unknown>;

  constructor(file: string, environment: Record<string, string>) {
    this.child = spawn(file.endsWith('.sh') ? 'bash' : process.execPath, [file], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that the shell's curl can be ended with the shell.
      detached: true,
    });
    createInterface(this.child.stdout).on('line', (line) => this.printed.push(line));
    this.child.stderr.on('data', (chunk: Buffer) => (this.complaints += chunk.toString()));
    this.child.once('exit', (code) => (this.exitCode = code));
    this.closed = once(this.child, 'close');
    running.add(this);
  }

  async prints(count: number): Promise<void> {
    await this.reaches(`${count} lines`, () => {
      if (this.printed.length >= count) return true;
      if (this.exitCode !== undefined) throw new Error(`It ended with ${this.exitCode}.`);
      return false;
    });
  }

  /** Waits for its own end, and gives its exit code. */
  async ends(): Promise<number | null | undefined> {
    await this.reaches('its end', () => this.exitCode !== undefined);
    await this.stop();
    return this.exitCode;
  }

  async stop(): Promise<void> {
    if (this.exitCode === undefined) process.kill(-Number(this.child.pid), 'SIGKILL');
    await this.closed;
    running.delete(this);
  }

  private async reaches(what: string, probe: () => boolean): Promise<void> {
    await waitFor(what, probe, PATIENCE).catch((error: unknown) => {
      throw new Error([String(error), 'It printed:', ...this.printed, this.complaints].join('\n'));
    });
  }
}

/** Like a network that a phone has left: what is on the way stays there, and both ends believe in each other. */
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

  /** For the connections of now; new ones work. */
  fallSilent(): void {
    for (const socket of this.sockets) socket.unpipe().pause();
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await once(this.server.close(), 'close');
  }
}

function start(title: string, url: string, environment: Record<string, string>): RunningProgram {
  const program = programs.find((one) => one.title === title);
  if (!program) throw new Error(`The page has no program below "${title}".`);
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
