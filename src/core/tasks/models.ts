/**
 * What each model accepts. The upstream's list changes: this table is the only place that knows it.
 * Source: the provider's public specification of the Flux Images API; see docs/PROTOCOL.md.
 */
export interface FluxModel {
  name: string;
  canGenerate: boolean;
  canEdit: boolean;
  isDeprecated: boolean;
  /** Ratios it accepts; empty when it takes pixels. */
  ratios: readonly string[];
  /** Pixel rule; null when it takes ratios. */
  pixels: PixelRule | null;
  maxCount: number;
  defaultSize: string;
}
export interface PixelRule {
  minSide: number;
  maxSide: number;
  multipleOf: number;
}

const RATIOS = ['1:1', '16:9', '21:9', '3:2', '2:3', '4:5', '5:4', '3:4', '4:3', '9:16', '9:21'] as const;
const CLASSIC_PIXELS: PixelRule = { minSide: 256, maxSide: 1440, multipleOf: 32 };
/** No upper bound is documented for flux-2; 1440 is the one that is known to be safe. */
const FLUX_2_PIXELS: PixelRule = { minSide: 64, maxSide: 1440, multipleOf: 32 };
/** The upstream's own limit on `count`. */
const MAX_COUNT = 4;

function byPixels(name: string, pixels: PixelRule, isDeprecated = false): FluxModel {
  const abilities = { canGenerate: true, canEdit: false, isDeprecated };
  return { name, ...abilities, ratios: [], pixels, maxCount: MAX_COUNT, defaultSize: '1024x1024' };
}
function byRatio(name: string, canEdit: boolean, isDeprecated = false): FluxModel {
  const abilities = { canGenerate: true, canEdit, isDeprecated };
  return { name, ...abilities, ratios: RATIOS, pixels: null, maxCount: MAX_COUNT, defaultSize: '1:1' };
}

export const FLUX_MODELS: readonly FluxModel[] = [
  byPixels('flux-dev', CLASSIC_PIXELS),
  byPixels('flux-pro', CLASSIC_PIXELS),
  byPixels('flux-pro-1.1', CLASSIC_PIXELS, true),
  byRatio('flux-pro-1.1-ultra', false, true),
  byRatio('flux-kontext-pro', true),
  byRatio('flux-kontext-max', true),
  byPixels('flux-2-flex', FLUX_2_PIXELS),
  byPixels('flux-2-pro', FLUX_2_PIXELS),
  byPixels('flux-2-max', FLUX_2_PIXELS),
  byPixels('flux-2-klein', FLUX_2_PIXELS),
];

/** Used when a request names no model. `flux-dev` is the upstream's own default. */
export const DEFAULT_MODEL = { GENERATE: 'flux-dev', EDIT: 'flux-kontext-pro' } as const;

export function findModel(name: string): FluxModel | undefined {
  return FLUX_MODELS.find((model) => model.name === name);
}
