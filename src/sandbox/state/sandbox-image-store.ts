import { newId } from '../../core/primitives/ids.js';
import { BoundedMap } from './bounded-map.js';
import { type Directives } from '../directives.js';
import { paintImage, type PaintingParameters } from '../painting/paint-image.js';
import { RecentBufferCache } from './recent-buffer-cache.js';

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

/** The images behind the links: parameters to paint them on request, and the bytes of the latest edits. */
export class SandboxImageStore {
  private readonly images = new BoundedMap<SandboxImage>(MAX_IMAGES);
  private readonly edits = new RecentBufferCache(MAX_EDITS, MAX_EDIT_BYTES);
  private readonly painted = new RecentBufferCache(MAX_CACHED_PAINTINGS, MAX_CACHED_PAINTING_BYTES);
  private readonly painting = new Map<string, Promise<Buffer>>();

  /** Registers an image that is painted when it is first requested. Returns its ID. */
  addGenerated(parameters: PaintingParameters, fault: Directives['image']): string {
    return this.add(parameters, fault);
  }

  /** Stores the PNG of an edit. Returns its ID. */
  addEdit(png: Buffer, fault: Directives['image']): string {
    const id = this.add(null, fault);
    this.edits.put(id, png);
    return id;
  }

  /** The image with this ID, or undefined when it never existed or was dropped as one of the oldest. */
  find(id: string): SandboxImage | undefined {
    return this.images.get(id);
  }

  /** The PNG, or null for an edit that is no longer kept. */
  async readPng(image: SandboxImage): Promise<Buffer | null> {
    return image.parameters ? this.paint(image.parameters) : (this.edits.get(image.id) ?? null);
  }

  private add(parameters: PaintingParameters | null, fault: Directives['image']): string {
    const id = newId();
    this.images.set(id, { id, parameters, fault });
    return id;
  }

  private async paint(parameters: PaintingParameters): Promise<Buffer> {
    const key = JSON.stringify(parameters);
    const cached = this.painted.get(key) ?? this.painting.get(key);
    if (cached) return cached;
    const painting = paintImage(parameters).finally(() => this.painting.delete(key));
    this.painting.set(key, painting);
    const png = await painting;
    this.painted.put(key, png);
    return png;
  }
}
