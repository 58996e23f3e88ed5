import { statement } from '../postgres/statement.js';

/** The highest position that is reported. It stands for itself and all later positions. docs/PROTOCOL.md has it, too. */
export const MAX_QUEUE_POSITION = 1_000;

/** The SQL function says how positions follow from the rules of fair scheduling, and what bounds the work. */
export const FIND_QUEUE_POSITIONS = statement<
  { workspaceId: string; ids: readonly string[]; maxPosition: number },
  { id: string; position: number }
>(
  'find-queue-positions',
  'SELECT id, queue_position AS position FROM queue_positions(:workspaceId::uuid, :ids::uuid[], :maxPosition::int)',
);
