import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Child, killChild, startChild } from './child.js';
import { freePort } from './tcp-proxy.js';

/** One service instance. `starting` includes the second before the supervisor restarts it. */
export interface ServiceInstance {
  /** From 1. */
  number: number;
  port: number;
  state: 'starting' | 'running' | 'paused';
  child: Child | null;
  /** Holds how wrong its clock is, in milliseconds. */
  clockFile: string;
}

/** Delay before an exited process is restarted, as with a supervisor such as systemd. */
const RESTART_DELAY_MS = 1_000;
/** Enough for uncompiled sources on a busy machine. Otherwise a start takes a second or two. */
const START_TIMEOUT_MS = 90_000;

/** Several Darkroom instances under a supervisor that restarts them a second after they exit. */
export class InstanceGroup {
  readonly all: ServiceInstance[] = [];
  /** The first API key, as printed by the instance that created it. */
  apiKey = '';
  /** Exits that were not caused here: while starting (for example without PostgreSQL), and while running, which is an error. */
  readonly unexpectedExits = { starting: 0, running: 0 };
  private isStopping = false;
  private isFirstSpared = false;

  /** Starts `count` instances at once on an empty database. Resolves when all are running. */
  async start(count: number, dir: string, env: Readonly<Record<string, string>>): Promise<void> {
    for (let number = 1; number <= count; number += 1) {
      this.all.push({
        number,
        port: await freePort(),
        state: 'starting',
        child: null,
        clockFile: join(dir, `clock-${number}`),
      });
    }
    for (const instance of this.all) void this.supervise(instance, dir, env);
    await this.waitUntilAllRunning();
    if (this.apiKey === '') throw new Error(`No instance printed the first API key. See the logs in ${dir}.`);
  }

  /** Instances that are neither starting nor paused. */
  get running(): ServiceInstance[] {
    return this.all.filter(({ state }) => state === 'running');
  }

  /** Running instances that may be killed. */
  get killable(): ServiceInstance[] {
    return this.running.filter(({ number }) => number > 1 || !this.isFirstSpared);
  }

  /** From now on the first instance is not killed, so that it grows as old as the run. */
  spareFirst(): void {
    this.isFirstSpared = true;
  }

  /** Ports that accept connections. A load balancer cannot see that a process is paused, so these are included. */
  get ports(): number[] {
    return this.all.filter(({ state }) => state !== 'starting').map(({ port }) => port);
  }

  /** Kills an instance. The supervisor restarts it. */
  async kill(instance: ServiceInstance): Promise<void> {
    instance.state = 'starting';
    if (instance.child) await killChild(instance.child);
  }

  /** Pauses an instance for `ms`, and resolves when it continues. */
  async freeze(instance: ServiceInstance, ms: number): Promise<void> {
    const { child } = instance;
    instance.state = 'paused';
    child?.process.kill('SIGSTOP');
    await pause(ms);
    child?.process.kill('SIGCONT');
    if (instance.child === child && instance.state === 'paused') instance.state = 'running';
  }

  /** Makes the clock of an instance jump to `offsetMs` from the right time. Restarting the instance does not mend it. */
  async setClock(instance: ServiceInstance, offsetMs: number): Promise<void> {
    await writeFile(instance.clockFile, String(offsetMs));
  }

  /** Resolves when all instances are running. Rejects after a timeout. */
  async waitUntilAllRunning(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (this.running.length < this.all.length) {
      if (Date.now() > deadline) throw new Error('An instance did not start in time. See its log.');
      await pause(50);
    }
  }

  /** Kills all instances. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all(this.all.map(async ({ child }) => child && (await killChild(child))));
  }

  private async supervise(
    instance: ServiceInstance,
    dir: string,
    env: Readonly<Record<string, string>>,
  ): Promise<void> {
    while (!this.isStopping) {
      instance.child = startChild({
        module: 'main',
        env: {
          ...env,
          PORT: String(instance.port),
          LOG_LEVEL: 'warn',
          CLOCK_OFFSET_FILE: instance.clockFile,
        },
        preload: 'clock-offset',
        logFile: join(dir, `instance-${instance.number}.log`),
        onLine: (line) => this.handleOutput(instance, line),
      });
      await instance.child.exited;
      const wasKilledByUs = instance.child.process.signalCode === 'SIGKILL';
      if (!wasKilledByUs && !this.isStopping)
        this.unexpectedExits[instance.state === 'starting' ? 'starting' : 'running'] += 1;
      instance.state = 'starting';
      await pause(RESTART_DELAY_MS);
    }
  }

  private handleOutput(instance: ServiceInstance, line: string): void {
    if (line.includes('Darkroom is listening at')) instance.state = 'running';
    this.apiKey ||= /\bdk_\w+/.exec(line)?.[0] ?? '';
  }
}
