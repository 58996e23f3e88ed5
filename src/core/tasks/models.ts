/**
 * What one model accepts. The upstream's list changes over time, and `FLUX_MODELS` is the only place that knows it.
 * Source: the provider's public specification of the Flux Images API, see docs/PROTOCOL.md.
 */
export interface FluxModel {
  name: string;
  canGenerate: boolean;
  canEdit: boolean;
  isDeprecated: boolean;
  /** Accepted aspect ratios. Empty when the model takes pixel sizes. */
  aspectRatios: readonly string[];
  /** Constraints on pixel sizes. Null when the model takes aspect ratios. */
  pixelSizes: PixelSizeConstraints | null;
  /**
   * Aspect ratios that are accepted beside pixel sizes, because the provider's documents disagree on which of the two the model
   * takes. The upstream's adapter finds out.
   */
  alsoAspectRatios: readonly string[];
  maxCount: number;
  defaultSize: string;
}
export interface PixelSizeConstraints {
  minSide: number;
  maxSide: number;
  multipleOf: number;
}

const ASPECT_RATIOS = ['1:1', '16:9', '21:9', '3:2', '2:3', '4:5', '5:4', '3:4', '4:3', '9:16', '9:21'];
const FLUX_1_PIXEL_SIZES: PixelSizeConstraints = { minSide: 256, maxSide: 1440, multipleOf: 32 };
/** The provider documents no upper bound for flux-2. 1440 is known to work. */
const FLUX_2_PIXEL_SIZES: PixelSizeConstraints = { minSide: 64, maxSide: 1440, multipleOf: 32 };
/** The upstream's limit on `count`. */
const MAX_COUNT = 4;

const FLUX_2 = { canEdit: true, alsoAspectRatios: ASPECT_RATIOS };

const COMMON = { canGenerate: true, isDeprecated: false, alsoAspectRatios: [], maxCount: MAX_COUNT };

function pixelSizeModel(name: string, pixelSizes: PixelSizeConstraints): FluxModel {
  return { ...COMMON, name, canEdit: false, aspectRatios: [], pixelSizes, defaultSize: '1024x1024' };
}
function aspectRatioModel(name: string): FluxModel {
  const sizes = { aspectRatios: ASPECT_RATIOS, pixelSizes: null, defaultSize: '1:1' };
  return { ...COMMON, name, canEdit: true, ...sizes };
}

export const FLUX_MODELS: readonly FluxModel[] = [
  pixelSizeModel('flux-dev', FLUX_1_PIXEL_SIZES),
  pixelSizeModel('flux-pro', FLUX_1_PIXEL_SIZES),
  { ...pixelSizeModel('flux-pro-1.1', FLUX_1_PIXEL_SIZES), isDeprecated: true },
  { ...aspectRatioModel('flux-pro-1.1-ultra'), canEdit: false, isDeprecated: true },
  aspectRatioModel('flux-kontext-pro'),
  aspectRatioModel('flux-kontext-max'),
  { ...pixelSizeModel('flux-2-flex', FLUX_2_PIXEL_SIZES), ...FLUX_2 },
  { ...pixelSizeModel('flux-2-pro', FLUX_2_PIXEL_SIZES), ...FLUX_2 },
  { ...pixelSizeModel('flux-2-max', FLUX_2_PIXEL_SIZES), ...FLUX_2 },
  { ...pixelSizeModel('flux-2-klein', FLUX_2_PIXEL_SIZES), ...FLUX_2 },
];

/** The model of a request that names none. `flux-dev` is also the upstream's default. */
export const DEFAULT_MODEL = { GENERATE: 'flux-dev', EDIT: 'flux-kontext-pro' } as const;

export function findModel(name: string): FluxModel | undefined {
  return FLUX_MODELS.find((model) => model.name === name);
}
