import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ROOT } from './project.mjs';

const POLL_MS = 200;
/** The holder touches its lock this often. */
const TOUCH_INTERVAL_MS = 5_000;
/** After a restart of the machine, the process ID of a killed holder can belong to another program. */
const STALE_AFTER_MS = 60_000;

/** Runs `work` while no other process of this checkout runs any. A lock whose holder has died is ignored. */
export async function withLock(name, work) {
  const path = join(ROOT, 'node_modules', '.cache', 'darkroom', `${name.replace(':', '-')}.lock`);
  mkdirSync(dirname(path), { recursive: true });
  for (let isWaiting = false; !tryLock(path); isWaiting = true) {
    if (!isWaiting) console.error(`Waiting for another process that runs "${name}".`);
    await delay(POLL_MS);
  }
  const release = () => rmSync(path, { force: true });
  process.once('exit', release);
  const touch = setInterval(() => utimesSync(path, new Date(), new Date()), TOUCH_INTERVAL_MS);
  try {
    return await work();
  } finally {
    clearInterval(touch);
    release();
    process.off('exit', release);
  }
}

function tryLock(path) {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  if (isStale(path)) rmSync(path, { force: true });
  return false;
}

function isStale(path) {
  try {
    if (Date.now() - statSync(path).mtimeMs > STALE_AFTER_MS) return true;
    const holder = Number(readFileSync(path, 'utf8'));
    return holder > 0 && !isAlive(holder);
  } catch {
    return false; // it has just been released
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}
