import { type FaultDefinition } from './fault-definition.js';

/** Longer than three missed heartbeats, so that a paused instance finds its jobs taken over when it continues. */
const FREEZE_MS = 8_000;

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
];
