import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Child, killChild, startChild } from './child.js';
import { freePort } from './tcp-proxy.js';

/** One of the instances. `starting` includes the second before a supervisor starts it again. */
export interface Instance {
  /** From 1. */
  number: number;
  port: number;
  state: 'starting' | 'running' | 'stopped';
  child: Child | null;
}

/** What a supervisor such as systemd waits before it starts a process again that has ended. */
const RESTART_AFTER_MS = 1_000;
/** With the uncompiled sources and a busy machine; a second or two otherwise. */
const START_TIMEOUT_MS = 90_000;

/** Darkroom itself, several times over, under a supervisor: whatever ends is started again a second later. */
export class Instances {
  readonly all: Instance[] = [];
  /** The first key of the installation, as the instance that made it printed it. */
  apiKey = '';
  /** Ends that nobody here has caused: while starting (Postgres away, say), and while running, which would be a fault. */
  readonly ownEnds = { starting: 0, running: 0 };
  private isEnding = false;

  /** Starts `count` of them at once, on one database that has no tables yet; resolves when all of them run. */
  async start(count: number, dir: string, env: Readonly<Record<string, string>>): Promise<void> {
    for (let number = 1; number <= count; number += 1) {
      this.all.push({ number, port: await freePort(), state: 'starting', child: null });
    }
    for (const instance of this.all) void this.supervise(instance, dir, env);
    await this.allRun();
    if (this.apiKey === '') throw new Error(`No instance printed the first API key; see the logs in ${dir}.`);
  }

  /** Those that do their work. */
  get running(): Instance[] {
    return this.all.filter(({ state }) => state === 'running');
  }

  /** Ports that take connections, as a load balancer knows them: it does not see that a process was stopped. */
  get ports(): number[] {
    return this.all.filter(({ state }) => state !== 'starting').map(({ port }) => port);
  }

  /** Kills it. The supervisor starts it again. */
  async kill(instance: Instance): Promise<void> {
    instance.state = 'starting';
    if (instance.child) await killChild(instance.child);
  }

  /** Stops it where it stands for so long, and lets it go on. Resolves then. */
  async freeze(instance: Instance, ms: number): Promise<void> {
    const { child } = instance;
    instance.state = 'stopped';
    child?.process.kill('SIGSTOP');
    await pause(ms);
    child?.process.kill('SIGCONT');
    if (instance.child === child && instance.state === 'stopped') instance.state = 'running';
  }

  /** Resolves when all of them run; rejects when that takes too long. */
  async allRun(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (this.running.length < this.all.length) {
      if (Date.now() > deadline) throw new Error('An instance does not start; see its log.');
      await pause(50);
    }
  }

  /** Ends all of them at once. */
  async stop(): Promise<void> {
    this.isEnding = true;
    await Promise.all(this.all.map(async ({ child }) => child && (await killChild(child))));
  }

  private async supervise(
    instance: Instance,
    dir: string,
    env: Readonly<Record<string, string>>,
  ): Promise<void> {
    while (!this.isEnding) {
      instance.child = startChild({
        module: 'main',
        env: { ...env, PORT: String(instance.port), LOG_LEVEL: 'warn' },
        logFile: join(dir, `instance-${instance.number}.log`),
        onLine: (line) => this.read(instance, line),
      });
      await instance.child.exited;
      const wasOurs = instance.child.process.signalCode === 'SIGKILL';
      if (!wasOurs && !this.isEnding)
        this.ownEnds[instance.state === 'starting' ? 'starting' : 'running'] += 1;
      instance.state = 'starting';
      await pause(RESTART_AFTER_MS);
    }
  }

  private read(instance: Instance, line: string): void {
    if (line.includes('Darkroom listens at')) instance.state = 'running';
    this.apiKey ||= /\bdk_\w+/.exec(line)?.[0] ?? '';
  }
}
