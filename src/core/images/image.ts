/** One finished picture: known from the upstream's result, complete once its bytes are in our store. */
export interface Image {
  id: string;
  workspaceId: string;
  /** Null for an uploaded one. */
  taskId: string | null;
  /** Place in the upstream's order, from 0. */
  index: number;
  /** It came after its task had ended. */
  late: boolean;
  /** Null for an uploaded one. */
  upstreamUrl: string | null;
  seed: string | null;
  inferenceSeconds: number | null;
  /** Null for an uploaded one, and for one that came before this was kept. */
  reported: unknown;
  /** The picture it was edited from. */
  parentId: string | null;
  width: number | null;
  height: number | null;
  mimeType: string | null;
  byteSize: number | null;
  sha256: Uint8Array | null;
  thumbhash: Uint8Array | null;
  storedAt: Date | null;
  lostAt: Date | null;
  lostReason: string | null;
  /** The row stays; the bytes are gone, or will be. */
  deletedAt: Date | null;
  /** What its uploader called it. */
  fileName: string | null;
}

/** What the upstream gave with a picture, whatever its types were: a part that it did not give is absent. */
export interface Reported {
  seed?: unknown;
  timings?: unknown;
}

/** What a picture can be served as besides its own form. */
export const IMAGE_FORMATS = ['png', 'jpeg', 'webp', 'avif'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/**
 * The widths, in pixels, that pictures are served in. A list, so that nobody can have us make a million sizes: from an icon
 * to the largest picture that the upstream makes, in steps of at most a half.
 */
export const IMAGE_WIDTHS = [64, 128, 256, 384, 512, 768, 1024, 1440] as const;

/** Another form of a picture. Null: its own. */
export interface Variant {
  width: number | null;
  format: ImageFormat | null;
}

/** What looking at a picture's bytes tells. Sides in pixels. */
export interface PictureFacts {
  width: number;
  height: number;
  mimeType: string;
  byteSize: number;
  sha256: Buffer;
  thumbhash: Buffer;
}
