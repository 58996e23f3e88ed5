/** One finished or uploaded image. It is known from the upstream's result, and complete once its bytes are stored. */
export interface Image {
  id: string;
  workspaceId: string;
  /** Null for an uploaded image. */
  taskId: string | null;
  /** Position in the upstream's result, from 0. */
  index: number;
  /** True when the image arrived after its task had reached a final status. */
  late: boolean;
  /** Null for an uploaded image. */
  upstreamUrl: string | null;
  seed: string | null;
  inferenceSeconds: number | null;
  /** An `UpstreamMetadata` as it was stored. Null for an uploaded image. */
  upstreamMetadata: unknown;
  /** ID of the image that this one was edited from. */
  parentId: string | null;
  width: number | null;
  height: number | null;
  mimeType: string | null;
  byteSize: number | null;
  sha256: Uint8Array | null;
  thumbhash: Uint8Array | null;
  /** Why the stored bytes cannot be decoded as an image. Null if they can, or if none are stored. */
  decodeError: string | null;
  storedAt: Date | null;
  lostAt: Date | null;
  lostReason: string | null;
  /** When the image was deleted. The row remains, and the bytes are removed soon after. */
  deletedAt: Date | null;
  /** File name given at the upload. */
  fileName: string | null;
}

/** What the upstream reported with an image, unchanged and of any type. Fields that it did not send are absent. */
export interface UpstreamMetadata {
  seed?: unknown;
  timings?: unknown;
}

/** Formats that an image can be converted to. */
export const IMAGE_FORMATS = ['png', 'jpeg', 'webp', 'avif'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/**
 * Widths in pixels that images are served in. The list is fixed, so that a client cannot make the service compute a
 * million sizes. It goes from an icon to the largest image that the upstream makes, and each width is at most twice
 * the one before.
 */
export const IMAGE_WIDTHS = [64, 128, 256, 384, 512, 768, 1024, 1440] as const;

/** A requested size and format of an image. Null stands for the original's. */
export interface ImageVariant {
  width: number | null;
  format: ImageFormat | null;
}

/** What decoding an image's bytes tells. Width and height are in pixels. */
export interface DecodedProperties {
  width: number;
  height: number;
  mimeType: string;
  thumbhash: Buffer;
  decodeError: null;
}

/** For bytes from the upstream that cannot be decoded. They are kept, because they were paid for. */
export interface UndecodableProperties {
  width: null;
  height: null;
  mimeType: typeof UNDECODABLE_MIME_TYPE;
  thumbhash: null;
  /** The reason, as a sentence. */
  decodeError: string;
}
/** Browsers download it instead of showing it. */
export const UNDECODABLE_MIME_TYPE = 'application/octet-stream';

/** Properties that were measured from an image's bytes. */
export type ImageProperties = (DecodedProperties | UndecodableProperties) & {
  byteSize: number;
  sha256: Buffer;
};
