// Medians and quartiles: of a few noisy rounds a mean says little.

export interface Spread {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/** The median, and the quartiles around it; undefined of nothing. */
export function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): number => {
    const place = (sorted.length - 1) * part;
    const below = sorted[Math.floor(place)] ?? Number.NaN;
    const above = sorted[Math.ceil(place)] ?? Number.NaN;
    return below + (above - below) * (place - Math.floor(place));
  };
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
}

/** Each value in relation to the floor's of the same round, which ran just before or after it. */
export function ratios(values: readonly number[], floor: readonly number[]): number[] {
  return values.flatMap((value, round) => {
    const base = floor[round];
    return base === undefined || base === 0 ? [] : [value / base];
  });
}
