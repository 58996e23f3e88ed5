/** CPU time and memory of a process, from /proc on Linux. NaN on other systems. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** Node option of a process that collects garbage on SIGUSR2. */
export const COLLECT_ON_SIGNAL_OPTION = `--import=${new URL('./collect-on-signal.js', import.meta.url).href}`;
/** Linux has counted in these for programs since 2.6, whatever it uses itself. */
const MS_PER_TICK = 10;
/** Collecting takes a tenth of this time. Another thread then returns the pages to the system. */
const COLLECT_WAIT_MS = 1_000;

/** Resident memory in MB after garbage collection, of a process started with COLLECT_ON_SIGNAL_OPTION. */
export async function rssMbAfterGc(pid: number): Promise<number> {
  for (let times = 0; times < 2; times += 1) {
    process.kill(pid, 'SIGUSR2'); // the second time for objects released by finalizers
    await pause(COLLECT_WAIT_MS);
  }
  return rssMb(pid);
}

/** Peak resident memory in MB. */
export function peakRssMb(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1]) / 1024;
}

/** Lets `peakRssMb` of a process of the same user start again from what is resident now. */
export function resetPeakRss(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Resident memory in MB. */
export function rssMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1]) / 1024;
}

/**
 * CPU time of all threads of a process in milliseconds, including kernel time. Read from `schedstat`, which counts nanoseconds.
 * The ticks of `stat` are 10 ms, the time of about a thousand messages.
 */
export function cpuMs(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((thread) =>
      Number(readOrEmpty(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]),
    );
    return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
  } catch {
    return NaN;
  }
}

/** CPU time of a process, of its children, and of the children that have ended, in milliseconds. */
export function cpuMsOfTree(pid: number): number {
  const children = readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && parentOf(Number(name)) === pid,
  );
  const running = [pid, ...children.map(Number)].reduce((sum, process) => sum + cpuMs(process), 0);
  const [, , userTicks, systemTicks] = statOf(pid).slice(11, 15);
  return running + (Number(userTicks) + Number(systemTicks)) * MS_PER_TICK;
}

/** The process that has started a process. */
export function parentOf(pid: number): number {
  return Number(statOf(pid)[1]);
}

/** The fields of /proc/<pid>/stat from the state on. The name before it can have spaces. */
function statOf(pid: number): string[] {
  return readOrEmpty(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
}

/** Throws when a process cannot open this many files. Each socket counts as one. */
export function assertOpenFileLimit(count: number): void {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(readOrEmpty('/proc/self/limits'))?.[1]);
  if (limit >= count) return;
  throw new Error(
    `This benchmark needs ${count} open files, and the limit is ${limit}. Raise it with: ulimit -n ${count}`,
  );
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
