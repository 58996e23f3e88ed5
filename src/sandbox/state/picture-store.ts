import { newId } from '../../core/primitives/ids.js';
import { BoundedMap } from './bounded-map.js';
import { type Directives } from '../directives.js';
import { paintPicture, type PictureFacts } from '../painting/paint-picture.js';
import { RecentBytes } from './recent-bytes.js';

/** A picture that a link was handed out for. An edit has no facts to be painted from again: only its bytes. */
export interface StoredPicture {
  id: string;
  facts: PictureFacts | null;
  fault: Directives['picture'];
}

/** Four pictures for each of the 100,000 tasks that are remembered. */
const MAX_PICTURES = 400_000;
/** Edits, whose source may be gone, are kept as bytes: the last ones only, like a picture host that promises nothing. */
const MAX_EDITS = 200;
const MAX_EDIT_BYTES = 256 * 1024 * 1024;
/** Painted pictures are kept only to answer the same link again without painting. */
const MAX_PAINTED = 64;
const MAX_PAINTED_BYTES = 64 * 1024 * 1024;

/** The pictures behind the links: facts to paint them from when they are asked for, and the bytes of the last edits. */
export class PictureStore {
  private readonly pictures = new BoundedMap<StoredPicture>(MAX_PICTURES);
  private readonly edits = new RecentBytes(MAX_EDITS, MAX_EDIT_BYTES);
  private readonly painted = new RecentBytes(MAX_PAINTED, MAX_PAINTED_BYTES);
  private readonly painting = new Map<string, Promise<Buffer>>();

  /** Remembers a picture to be painted when it is first asked for. Returns its id. */
  addGenerated(facts: PictureFacts, fault: Directives['picture']): string {
    return this.add(facts, fault);
  }

  /** Keeps an edit's PNG. Returns its id. */
  addEdit(png: Buffer, fault: Directives['picture']): string {
    const id = this.add(null, fault);
    this.edits.put(id, png);
    return id;
  }

  /** The picture by its id, or undefined when there never was one or it was dropped as one of the oldest. */
  find(id: string): StoredPicture | undefined {
    return this.pictures.get(id);
  }

  /** The PNG, or null when it was an edit that is no longer kept. */
  async bytes(picture: StoredPicture): Promise<Buffer | null> {
    return picture.facts ? this.paint(picture.facts) : (this.edits.get(picture.id) ?? null);
  }

  private add(facts: PictureFacts | null, fault: Directives['picture']): string {
    const id = newId();
    this.pictures.set(id, { id, facts, fault });
    return id;
  }

  private async paint(facts: PictureFacts): Promise<Buffer> {
    const key = JSON.stringify(facts);
    const kept = this.painted.get(key) ?? this.painting.get(key);
    if (kept) return kept;
    const painting = paintPicture(facts).finally(() => this.painting.delete(key));
    this.painting.set(key, painting);
    const png = await painting;
    this.painted.put(key, png);
    return png;
  }
}
