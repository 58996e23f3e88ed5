import { TooManyConnections } from '../core/errors.js';
import { type Topic } from './topic.js';

/** Characters of documents, variables and filters that the subscriptions of a workspace keep. Equal ones are kept once. */
const MAX_TOPIC_CHARACTERS_PER_WORKSPACE = 16 * 1024 * 1024;
/** The same for all workspaces. */
const MAX_TOPIC_CHARACTERS = 128 * 1024 * 1024;
/** Those that a held request waits with are far shorter, and limits of connections bound them. */
const UNCOUNTED_CHARACTERS = 256;

/** Bounds what the subscriptions of an instance keep. The limit of a connection holds for its own only. */
export class TopicBounds {
  private readonly counted = new Set<Topic>();
  private readonly charactersByWorkspace = new Map<string, number>();
  private totalCharacters = 0;

  /** Counts a topic. Throws TooManyConnections when it is too much. */
  add(topic: Topic): void {
    const characters = topic.key.length;
    if (characters <= UNCOUNTED_CHARACTERS) return;
    const { workspaceId } = topic.scope;
    const ofWorkspace = (this.charactersByWorkspace.get(workspaceId) ?? 0) + characters;
    if (ofWorkspace > MAX_TOPIC_CHARACTERS_PER_WORKSPACE) throw tooLarge('this workspace', '16 MB');
    if (this.totalCharacters + characters > MAX_TOPIC_CHARACTERS) throw tooLarge('all workspaces', '128 MB');
    this.counted.add(topic);
    this.charactersByWorkspace.set(workspaceId, ofWorkspace);
    this.totalCharacters += characters;
  }

  /** Does nothing for a topic that does not count. */
  remove(topic: Topic): void {
    if (!this.counted.delete(topic)) return;
    const { workspaceId } = topic.scope;
    const characters = topic.key.length;
    this.totalCharacters -= characters;
    const left = (this.charactersByWorkspace.get(workspaceId) ?? 0) - characters;
    if (left > 0) this.charactersByWorkspace.set(workspaceId, left);
    else this.charactersByWorkspace.delete(workspaceId);
  }
}

function tooLarge(whose: string, limit: string): TooManyConnections {
  return new TooManyConnections(
    `The different subscriptions of ${whose} on this instance have more than ${limit} of documents and variables. End some, or use equal ones.`,
  );
}
