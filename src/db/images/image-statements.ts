import { imageWithin } from '../access/visibility-filter.js';

/** The reads of images.ts that callers ask for. */

/** The columns of `Image`. */
const COLUMNS = `
  image.id, image.workspace_id AS "workspaceId", image.task_id AS "taskId", image.index, image.late,
  image.upstream_url AS "upstreamUrl", image.seed, image.inference_seconds AS "inferenceSeconds", image.reported,
  image.parent_id AS "parentId", image.width, image.height, image.mime_type AS "mimeType", image.byte_size AS "byteSize",
  image.sha256, image.thumbhash, image.stored_at AS "storedAt", image.lost_at AS "lostAt",
  image.lost_reason AS "lostReason", image.deleted_at AS "deletedAt", image.file_name AS "fileName"`;

export const FIND_IMAGES = {
  name: 'find-images',
  text: `SELECT ${COLUMNS} FROM images image WHERE ${imageWithin('image', 1)} AND image.id = ANY($4::uuid[])`,
  planOnce: true,
};

export const FIND_IMAGES_OF_TASKS = {
  name: 'find-images-of-tasks',
  text: `SELECT ${COLUMNS} FROM images image
         WHERE image.workspace_id = $1 AND image.task_id = ANY($2::uuid[]) ORDER BY image.index`,
  planOnce: true,
};

export const PAGE_OF_EDITS = {
  name: 'page-of-edits',
  text: `SELECT ${COLUMNS} FROM images image
         WHERE ${imageWithin('image', 1)} AND image.parent_id = $4 AND ($5::uuid IS NULL OR image.id > $5)
         ORDER BY image.id LIMIT $6`,
  planOnce: true,
};
