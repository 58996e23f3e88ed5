/** The price of one image of a model. It applies from `validFrom` until the model's next price. */
export interface Price {
  model: string;
  /** A decimal number as text. */
  perImage: string;
  /** An ISO 4217 code. */
  currency: string;
  validFrom: Date;
}

/** The installation's price list, in memory. A price that is missing from it is unknown, not zero. */
export class PriceList {
  /** The newest price of each model is first. */
  private readonly pricesByModel = new Map<string, Price[]>();
  /** Distinct, in alphabetical order. */
  readonly currencies: readonly string[];

  constructor(prices: readonly Price[]) {
    for (const price of prices) {
      this.pricesByModel.set(price.model, [...(this.pricesByModel.get(price.model) ?? []), price]);
    }
    for (const modelPrices of this.pricesByModel.values())
      modelPrices.sort((one, other) => other.validFrom.getTime() - one.validFrom.getTime());
    this.currencies = [...new Set(prices.map(({ currency }) => currency))].sort();
  }

  /** Returns the model's price at that time. Null when it is unknown. */
  find(model: string, at: Date): Price | null {
    return this.pricesByModel.get(model)?.find(({ validFrom }) => validFrom <= at) ?? null;
  }
}
