/** One finished picture: known from the upstream's result, complete once its bytes are in our store. */
export interface Image {
  id: string;
  workspaceId: string;
  taskId: string;
  /** Place in the upstream's order, from 0. */
  index: number;
  /** It came after its task had ended. */
  late: boolean;
  upstreamUrl: string;
  seed: string | null;
  inferenceSeconds: number | null;
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
