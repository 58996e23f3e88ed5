import { GraphQLDateTime, GraphQLURL } from 'graphql-scalars';
import { Float, ID, Int } from 'type-graphql';
import { type Image, type ImageFormat } from '../../core/images/image.js';
import { type UploadLink } from '../../services/images/uploads.js';
import { createConnectionType } from '../relay/connection.type.js';
import { createPayloadType, onSuccess } from '../relay/payload.type.js';
import {
  createEnumType,
  createInputType,
  createObjectType,
  field,
  nullable,
} from '../server/schema-types.js';

export const ImageType = createObjectType<Image>(
  'Image',
  'A finished image: generated, edited or uploaded. Its width, height, type, size, hash and placeholder are null until Darkroom has stored its copy, usually a moment after the task succeeded. The event IMAGE_STORED reports that the copy is stored. After the event IMAGE_LOST, these fields stay null.',
  {
    id: field(ID, 'ID of the image, a UUIDv7.'),
    index: field(Int, "0-based position in the upstream's result. 0 for an upload."),
    upstreamUrl: nullable(
      GraphQLURL,
      'URL of the image at the upstream, for reference. It expires, so use `url` instead. Null for an upload.',
    ),
    width: nullable(Int, 'Width in pixels, after EXIF orientation.'),
    height: nullable(Int, 'Height in pixels, after EXIF orientation.'),
    mimeType: nullable(
      String,
      'MIME type such as "image/png", determined by decoding the bytes. "application/octet-stream" if they cannot be decoded.',
    ),
    byteSize: nullable(Int, 'Size of the stored original in bytes.'),
    decodeError: nullable(
      String,
      'Reason why the stored bytes cannot be decoded as an image. They are kept as the upstream delivered them, served as a download only, and have no width, height, placeholder or variants. Null if they can be decoded or are not stored.',
    ),
    lostReason: nullable(
      String,
      'Reason why Darkroom has no copy of the image and makes no further attempt. `upstreamUrl` may still work. Null if the image is not lost.',
    ),
    seed: nullable(
      String,
      'Seed reported by the upstream. The same seed and prompt reproduce the image. Null if the upstream reported none.',
    ),
    inferenceSeconds: nullable(
      Float,
      'Inference time in seconds, as reported by the upstream. Null if the upstream reported none.',
    ),
    storedAt: nullable(GraphQLDateTime, 'Time when Darkroom stored its copy of the image. Null until then.'),
    deletedAt: nullable(
      GraphQLDateTime,
      'Time when the image was deleted. Its URLs then return 410, and it can no longer be edited. Null if it was not deleted.',
    ),
  },
);

export const ImageConnection = createConnectionType('Image', ImageType, 'images, oldest first');

export const ImageFormatEnum = createEnumType<'ORIGINAL' | Uppercase<ImageFormat>>(
  'ImageFormat',
  'Format in which an image is served.',
  {
    ORIGINAL:
      'The format of the stored image. Without a `width`, the stored bytes are served unchanged. A GIF that is resized is served as PNG.',
    PNG: 'PNG.',
    JPEG: 'JPEG. Transparent areas become white.',
    WEBP: 'WebP.',
    AVIF: 'AVIF.',
  },
);

export const CreateUploadInput = createInputType<{ fileName?: string | null }>(
  'CreateUploadInput',
  'Input for uploading an image.',
  {
    fileName: nullable(
      String,
      'File name, up to 255 characters. The file name that browsers suggest for downloads is derived from it.',
    ),
  },
);

const UploadType = createObjectType<UploadLink>(
  'Upload',
  'A signed link for uploading one image without an API key. Send the bytes with PUT, or one file as `multipart/form-data` with POST. Using the link again returns the same image. The response is `{"image": {"id", "url", "width", "height", "mimeType", "byteSize"}}`.',
  {
    imageId: field(
      ID,
      'ID that the image has once it is uploaded. Pass it as `sourceImageId` to `editImage`.',
    ),
    url: field(GraphQLURL, 'URL to send the image to. Anyone who has it can use it.'),
    maxBytes: field(
      Int,
      'Maximum size of the image in bytes, as the operator has set it. Default: 52428800 (50 MB).',
    ),
    expiresAt: field(GraphQLDateTime, 'Time when the link expires, 15 minutes after its creation.'),
  },
);

export const CreateUploadPayload = createPayloadType('createUpload', {
  upload: onSuccess(UploadType, 'The upload link.'),
});

export const DeleteImageInput = createInputType<{ id: string }>(
  'DeleteImageInput',
  'Input for deleting an image.',
  { id: field(ID, 'ID of the image.') },
);

export const DeleteImagePayload = createPayloadType('deleteImage', {
  image: onSuccess(ImageType, 'The deleted image. Its record remains.'),
});
