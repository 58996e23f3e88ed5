/** What Linux itself writes down about a process. NaN elsewhere. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** For Node: collects garbage on SIGUSR2. */
export const COLLECTS_ON_SIGNAL = `--import=${new URL('./collect-on-signal.js', import.meta.url).href}`;
/** Collecting takes a tenth of it; pages are given back by another thread. */
const COLLECT_MS = 1_000;

/** Resident memory without garbage, of a process that was started with COLLECTS_ON_SIGNAL. */
export async function collectedRssMb(pid: number): Promise<number> {
  for (let times = 0; times < 2; times += 1) {
    process.kill(pid, 'SIGUSR2'); // the second time for what finalizers have let go
    await pause(COLLECT_MS);
  }
  return rssMb(pid);
}

/** The most resident memory that it has had. */
export function peakRssMb(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1]) / 1024;
}

/** Resident memory. */
export function rssMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1]) / 1024;
}

/**
 * Milliseconds that all threads of a process have spent on a processor, in the kernel too. From `schedstat`, which counts in
 * nanoseconds: the ticks of `stat` are 10 ms, as long as a thousand messages take.
 */
export function cpuMs(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((thread) =>
      Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]),
    );
    return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
  } catch {
    return NaN;
  }
}

/** Throws when a process may not open so many files: a socket is one. */
export function requireOpenFiles(count: number): void {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(read('/proc/self/limits'))?.[1]);
  if (limit >= count) return;
  throw new Error(
    `A process may open ${limit} files here, and this bench needs ${count}. Raise the limit: ulimit -n ${count}`,
  );
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
