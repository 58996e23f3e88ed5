/** A JSON object whose fields are not checked yet. */
export type JsonFields = Readonly<Record<string, unknown>>;

const NUMBER_FIELDS: readonly string[] = ['count', 'limit', 'offset', 'created_at_min', 'created_at_max'];
const BOOLEAN_FIELDS: readonly string[] = ['async'];
/** Fields for which an empty string is a value. An empty prompt is an error, and an empty ID is unknown. */
const TEXT_FIELDS: readonly string[] = ['prompt', 'id'];
/** A decimal number as forms and spreadsheets write it. */
const NUMBER_PATTERN = /^[+-]?\d{1,15}(\.\d{1,15})?$/;

/**
 * The fields of a request in the form that the Flux API documents. Its clients also send an empty string or null for a field that
 * they leave out, numbers and booleans as text, and sizes with another sign between the sides. Absent fields are left out. Anything
 * else stays as it is, to be rejected with its own message.
 */
export function normalizeFluxFields(fields: JsonFields): JsonFields {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([name, value]) => value !== null && (!isWhiteSpace(value) || TEXT_FIELDS.includes(name)))
      .map(([name, value]) => [name, normalizeValue(name, value)]),
  );
}

/** The `action` of a request to `/flux/tasks`. Without one, it reads the task that it names, or several. */
export function tasksActionOf(fields: JsonFields): unknown {
  return (
    fields.action ?? (fields.ids !== undefined && fields.id === undefined ? 'retrieve_batch' : 'retrieve')
  );
}

/**
 * The `action` of a request to `/flux/images`. Without one, it generates images. But with an image, it could be meant as an edit as
 * well, and both are paid for: then it has none.
 */
export function imagesActionOf(fields: JsonFields): unknown {
  return fields.action ?? (fields.image_url === undefined ? 'generate' : undefined);
}

function normalizeValue(name: string, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const text = value.trim();
  if (NUMBER_FIELDS.includes(name) && NUMBER_PATTERN.test(text)) return Number(text);
  if (name === 'size') return text.replaceAll(/\s/g, '').replace(/[x×*]/i, 'x');
  if (BOOLEAN_FIELDS.includes(name) && /^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  return value;
}

function isWhiteSpace(value: unknown): boolean {
  return typeof value === 'string' && value.trim() === '';
}
