import { LRUCache } from 'lru-cache';
import { newId } from '../../core/primitives/ids.js';
import { type Directives } from '../directives.js';
import { paintImage, type PaintingParameters } from '../painting/paint-image.js';

/** An image with a link. `parameters` is null for an edit, which cannot be painted again and has only its bytes. */
export interface SandboxImage {
  id: string;
  parameters: PaintingParameters | null;
  fault: Directives['image'];
}

/** Four images for each of the 100,000 tasks in memory. */
const MAX_IMAGES = 400_000;
/** Edits are kept as bytes, because their source may be gone. Only the latest are kept, since image links may expire anyway. */
const MAX_EDITS = 200;
const MAX_EDIT_BYTES = 256 * 1024 * 1024;
/** Painted images are cached only to avoid painting them again for the same link. */
const MAX_CACHED_PAINTINGS = 64;
const MAX_CACHED_PAINTING_BYTES = 64 * 1024 * 1024;

const sizeOf = (bytes: Buffer) => bytes.length;

/**
 * The images behind the links: parameters to paint them on request, and the bytes of the latest edits. The least recently used
 * are dropped first.
 */
export class SandboxImageStore {
  // With `max` the cache would allocate all its places at once.
  private readonly images = new LRUCache<string, SandboxImage>({
    maxSize: MAX_IMAGES,
    sizeCalculation: () => 1,
  });
  private readonly edits = new LRUCache<string, Buffer>({
    max: MAX_EDITS,
    maxSize: MAX_EDIT_BYTES,
    sizeCalculation: sizeOf,
  });
  private readonly painted = new LRUCache<string, Buffer, PaintingParameters>({
    max: MAX_CACHED_PAINTINGS,
    maxSize: MAX_CACHED_PAINTING_BYTES,
    sizeCalculation: sizeOf,
    fetchMethod: (_key, _stale, { context }) => paintImage(context),
    // An image that is dropped while it is painted is still delivered.
    ignoreFetchAbort: true,
  });

  /** Registers an image that is painted when it is first requested, or null for an edit. Returns its ID. */
  add(parameters: PaintingParameters | null, fault: Directives['image']): string {
    const id = newId();
    this.images.set(id, { id, parameters, fault });
    return id;
  }

  /** Stores the PNG of an edit. Returns its ID. */
  addEdit(png: Buffer, fault: Directives['image']): string {
    const id = this.add(null, fault);
    this.edits.set(id, png);
    return id;
  }

  /** The image with this ID, or undefined when it never existed or was dropped. */
  find(id: string): SandboxImage | undefined {
    return this.images.get(id);
  }

  /** The PNG, or null for an edit that is no longer kept. */
  async readPng({ id, parameters }: SandboxImage): Promise<Buffer | null> {
    if (!parameters) return this.edits.get(id) ?? null;
    return this.painted.forceFetch(JSON.stringify(parameters), { context: parameters });
  }
}
