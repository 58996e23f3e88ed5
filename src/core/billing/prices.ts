/** What one picture of a model costs from a time on, until a later price of the model applies. */
export interface Price {
  model: string;
  /** A decimal as text. */
  perImage: string;
  /** Three letters of ISO 4217. */
  currency: string;
  validFrom: Date;
}

/** The price list of the installation, in memory. A price that is not in it is unknown, which is not zero. */
export class PriceList {
  /** Of each model, the newest first. */
  private readonly byModel = new Map<string, Price[]>();
  /** Each once, in alphabetical order. */
  readonly currencies: readonly string[];

  constructor(prices: readonly Price[]) {
    for (const price of prices) {
      this.byModel.set(price.model, [...(this.byModel.get(price.model) ?? []), price]);
    }
    for (const list of this.byModel.values())
      list.sort((one, other) => other.validFrom.getTime() - one.validFrom.getTime());
    this.currencies = [...new Set(prices.map(({ currency }) => currency))].sort();
  }

  /** What applies at that time; null where nobody knows. */
  find(model: string, at: Date): Price | null {
    return this.byModel.get(model)?.find(({ validFrom }) => validFrom <= at) ?? null;
  }
}
