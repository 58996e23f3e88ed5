import { setTimeout as pause } from 'node:timers/promises';
import { type FaultDefinition } from './fault-definition.js';

/** Longer than three missed heartbeats, so that a paused instance finds its jobs taken over when it continues. */
const FREEZE_MS = 8_000;
const MINUTES = 60_000;
const WRONG_CLOCK_OFFSET_MS = 10 * MINUTES;
const WRONG_CLOCK_MS = 10_000;
const CLOCK_JUMPS = 8;
const CLOCK_JUMP_INTERVAL_MS = 1_000;

export const PROCESS_FAULTS: readonly FaultDefinition[] = [
  {
    kind: 'kill',
    title: 'instance killed',
    weight: 14,
    stopsInstance: true,
    // It ends at once, because the other instances can take over immediately.
    run: async ({ instances, target, logLine }) => {
      const instance = target();
      logLine(`instance ${instance.number} is killed`);
      await instances.kill(instance);
    },
  },
  {
    kind: 'freeze',
    title: 'instance paused for 8 s',
    weight: 8,
    stopsInstance: true,
    run: async ({ instances, target, logLine }) => {
      const instance = target();
      logLine(`instance ${instance.number} is paused for ${FREEZE_MS / 1000} s`);
      await instances.freeze(instance, FREEZE_MS);
    },
  },
  {
    kind: 'clocks-apart',
    title: 'clocks 10 minutes apart for 10 s',
    weight: 3,
    group: 'clocks',
    run: async ({ instances, random, logLine }) => {
      const instance = random.pick(instances.all);
      const ahead = random.pick([true, false]);
      const direction = ahead ? 'ahead' : 'behind';
      logLine(
        `the clock of instance ${instance.number} is 10 minutes ${direction} for ${WRONG_CLOCK_MS / 1000} s`,
      );
      await instances.setClock(instance, ahead ? WRONG_CLOCK_OFFSET_MS : -WRONG_CLOCK_OFFSET_MS);
      await pause(WRONG_CLOCK_MS);
      await instances.setClock(instance, 0);
    },
  },
  {
    kind: 'clocks-jumping',
    title: 'clocks jumping for 8 s',
    weight: 3,
    group: 'clocks',
    run: async ({ instances, random, logLine }) => {
      logLine(`the clock of every instance jumps ${CLOCK_JUMPS} times by up to 10 minutes`);
      for (let jump = 0; jump < CLOCK_JUMPS; jump += 1) {
        const offset = () => random.between(-WRONG_CLOCK_OFFSET_MS, WRONG_CLOCK_OFFSET_MS);
        await Promise.all(instances.all.map((instance) => instances.setClock(instance, offset())));
        await pause(CLOCK_JUMP_INTERVAL_MS);
      }
      await Promise.all(instances.all.map((instance) => instances.setClock(instance, 0)));
    },
  },
];
