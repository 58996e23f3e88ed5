import { ID, Int } from 'type-graphql';
import { type ImageRequest } from '../../services/tasks/request-validation.js';
import { createPayloadType, onSuccess } from '../relay/payload.type.js';
import { JsonScalar } from '../server/json-scalar.js';
import { createInputType, field, nullable } from '../server/schema-types.js';
import { TaskPriorityEnum, TaskType } from './task.type.js';

/** What both kinds of image requests have in common. */
const COMMON_FIELDS = {
  webhookUrl: nullable(
    String,
    'Public http or https URL to which the result is posted, up to 2,048 characters. Omitted: no webhook. See docs/PROTOCOL.md, "Webhooks".',
  ),
  priority: nullable(
    TaskPriorityEnum,
    'Priority among the queued tasks of the same end user. It does not affect other end users or workspaces.',
    'NORMAL',
  ),
  metadata: nullable(
    JsonScalar,
    'Any JSON value of your own, up to 4,096 bytes. `Task.metadata` returns it unchanged.',
  ),
  endUserId: nullable(
    String,
    'Your own ID of the end user that the request is for, 1 to 255 characters. Omit it if the client token is limited to an end user.',
  ),
  idempotencyKey: nullable(
    String,
    'Key that makes it safe to send the request again, 1 to 255 characters. A repeated key with the same input returns the existing task. With different input, it gives the user error IDEMPOTENCY_CONFLICT. Default: the header `Idempotency-Key`.',
  ),
  timeoutSeconds: nullable(Int, 'Seconds until the task expires, from 10 to 3600. Default: 600.'),
};

export const GenerateImagesInput = createInputType<Omit<ImageRequest, 'sourceImageId' | 'sourceImageUrl'>>(
  'GenerateImagesInput',
  'Input for generating images from a text prompt.',
  {
    prompt: field(String, 'Text that describes the images, 1 to 4,000 characters.'),
    model: nullable(String, 'Name of a model from `models` with `canGenerate`. Default: flux-dev.'),
    size: nullable(
      String,
      'Size in pixels such as "1024x768", or an aspect ratio such as "16:9", depending on the model. The other spelling is accepted when it means the same: "1024x1024" is "1:1". Default: the `defaultSize` of the model.',
    ),
    count: nullable(
      Int,
      "Number of images, from 1 to the model's `maxCount`. The upstream may deliver fewer.",
      1,
    ),
    ...COMMON_FIELDS,
  },
);

export const EditImageInput = createInputType<Omit<ImageRequest, 'count'>>(
  'EditImageInput',
  'Input for editing an image. It needs exactly one source: `sourceImageId` or `sourceImageUrl`.',
  {
    prompt: field(String, 'Text that describes the change, 1 to 4,000 characters.'),
    sourceImageId: nullable(
      ID,
      'ID of the image to edit. It must be stored in Darkroom: generated, edited or uploaded.',
    ),
    sourceImageUrl: nullable(
      String,
      'Public http or https URL of the image to edit, up to 2,048 characters. It must lead directly to the image, not to a page.',
    ),
    model: nullable(String, 'Name of a model from `models` with `canEdit`. Default: flux-kontext-pro.'),
    size: nullable(
      String,
      'Aspect ratio such as "16:9", or a size in pixels such as "1024x1024", as in `GenerateImagesInput.size`. Default: the aspect ratio nearest to that of the source image if Darkroom stores it, and otherwise the `defaultSize` of the model.',
    ),
    ...COMMON_FIELDS,
  },
);

const PAYLOAD_FIELDS = {
  task: onSuccess(TaskType, 'The task.'),
  replayed: field(Boolean, 'Whether an earlier request with the same idempotency key created the task.'),
};
export const GenerateImagesPayload = createPayloadType('generateImages', PAYLOAD_FIELDS);
export const EditImagePayload = createPayloadType('editImage', PAYLOAD_FIELDS);
