import { UpstreamError } from '../core/tasks/upstream-error.js';
import { findModel } from '../core/tasks/models.js';
import { modelSizeOf, type SizeSpellings, spellingsOf } from '../core/tasks/sizes.js';
import { type Task } from '../core/tasks/task.js';

/** The `action` of an edit. The upstream's web page and its specification disagree about it. */
export type EditAction = 'edit' | 'edits';

/** A request to word. A null `size` stands for the model's default. */
type RequestToWord = Pick<Task, 'kind' | 'model' | 'size'>;

/** The words of a request for which the upstream's documents disagree. */
export interface Wording {
  action: 'generate' | EditAction;
  /** Null for a model that the table does not have. */
  size: string | null;
}

/** The code of a refused `action`. */
const UNKNOWN_ACTION = 'api_not_implemented';

/**
 * Chooses the words that the upstream accepts, and remembers them for the process: the action of an edit, and whether a model takes
 * an aspect ratio or pixels where it could be either. Another word is tried only after a definite refusal, for which nothing was
 * made, and each once per request.
 */
export class RequestWording {
  private editAction: EditAction;
  /** What the models take whose other spelling was refused. */
  private readonly spellingByModel = new Map<string, SizeSpellings['preferred']>();

  /** @param fixedEditAction the action of every edit. If absent, the first edit finds out which one works. */
  constructor(private readonly fixedEditAction?: EditAction) {
    this.editAction = fixedEditAction ?? 'edit';
  }

  /** The words that worked last, or those of the upstream's newest specification. */
  first(request: RequestToWord): Wording {
    const action = request.kind === 'EDIT' ? this.editAction : 'generate';
    const sizes = sizesOf(request);
    const spelling = this.spellingByModel.get(request.model) ?? sizes.preferred;
    return { action, size: sizes[spelling] ?? sizes.pixels ?? sizes.ratio };
  }

  /** The words to try next. Null when the error is no refusal of a word, or there is no other word left. */
  next(request: RequestToWord, tried: readonly Wording[], error: unknown): Wording | null {
    const last = tried.at(-1);
    if (!last || !(error instanceof UpstreamError) || error.outcome !== 'refused') return null;
    const { code, upstreamCode } = error.failure;
    if (upstreamCode === UNKNOWN_ACTION) {
      const action = last.action === 'edit' ? 'edits' : 'edit';
      const isFixed = request.kind !== 'EDIT' || this.fixedEditAction !== undefined;
      return isFixed || tried.some((wording) => wording.action === action) ? null : { ...last, action };
    }
    if (code !== 'UPSTREAM_BAD_REQUEST') return null;
    const { ratio, pixels } = sizesOf(request);
    const size = last.size === ratio ? pixels : ratio;
    return size === null || tried.some((wording) => wording.size === size) ? null : { ...last, size };
  }

  /** Remembers the last of the words that were tried, which the upstream accepted. */
  remember(request: RequestToWord, tried: readonly Wording[]): void {
    const accepted = tried.at(-1);
    if (!accepted) return;
    if (accepted.action !== 'generate') this.editAction = accepted.action;
    if (tried.every(({ size }) => size === accepted.size)) return;
    this.spellingByModel.set(request.model, accepted.size === sizesOf(request).ratio ? 'ratio' : 'pixels');
  }
}

/** The spellings of the size that the model may take. */
function sizesOf({ model: name, size }: RequestToWord): SizeSpellings {
  const model = findModel(name);
  if (!model) return { ratio: null, pixels: size, preferred: 'pixels' };
  const requested = size ?? model.defaultSize;
  if (model.alsoAspectRatios.length > 0) return spellingsOf(model, requested);
  const spelled = modelSizeOf(model, requested) ?? requested;
  return model.pixelSizes
    ? { ratio: null, pixels: spelled, preferred: 'pixels' }
    : { ratio: spelled, pixels: null, preferred: 'ratio' };
}
