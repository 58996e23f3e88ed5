/** The attackers' process of hostile.ts. Argument: the target as JSON. It opens connections, or closes all of them with count 0. */
import { helperArgs, serveCommands } from './support/helper.js';
import { HostileConnections } from './support/hostile-connections.js';
import { type HostileTarget } from './support/hostile-kinds.js';

export interface AttackersCommand {
  /** Connections to keep open. 0: close all. */
  count: number;
}

const [target = '{}'] = helperArgs();
const connections = new HostileConnections(JSON.parse(target) as HostileTarget);

/** Returns how many connections were opened so far, by kind, when all were closed. */
serveCommands(async ({ count }: AttackersCommand): Promise<Record<string, number>> => {
  if (count === 0) return connections.stop();
  connections.start(count);
  return {};
});
