// Values on their way between a test and a page, as JSON. As with Playwright, what JSON lacks arrives too.

export type Wire = null | boolean | number | string | readonly [tag: string, value?: unknown];

/** Something that stays in the page. */
export interface Held {
  readonly held: number;
}

/** It runs on both sides, so it uses nothing from outside. `held` tells the number of what is held in the page. */
export function encode(value: unknown, held: (value: object) => number | undefined): Wire {
  const walk = (inner: unknown): Wire => {
    switch (typeof inner) {
      case "boolean":
      case "string":
        return inner;
      case "number":
        return Number.isFinite(inner) && !Object.is(inner, -0) ? inner : ["number", Object.is(inner, -0) ? "-0" : String(inner)];
      case "bigint":
        return ["bigint", String(inner)];
      case "object":
        break;
      default: // what cannot travel
        return ["undefined"];
    }
    if (inner === null) return null;
    const number = held(inner);
    if (number !== undefined) return ["held", number];
    if (inner instanceof Date) return ["date", inner.getTime()];
    if (inner instanceof Uint8Array) return ["bytes", [...inner]];
    if (inner instanceof Error) return ["error", [inner.name, inner.message, inner.stack]];
    if (Array.isArray(inner)) return ["array", inner.map(walk)];
    const entries: [string, Wire][] = [];
    for (const key of Object.keys(inner)) {
      let part: unknown;
      try {
        part = (inner as Record<string, unknown>)[key];
      } catch {
        continue; // as Playwright does
      }
      entries.push([key, walk(part)]);
    }
    return ["object", entries];
  };
  return walk(value);
}

/** The other way; it uses nothing from outside either. */
export function decode(wire: Wire, held: (number: number) => unknown): unknown {
  const walk = (inner: Wire): unknown => {
    if (!Array.isArray(inner)) return inner;
    const [tag, value] = inner as [string, unknown];
    switch (tag) {
      case "number":
        return Number(value);
      case "bigint":
        return BigInt(value as string);
      case "held":
        return held(value as number);
      case "date":
        return new Date(value as number);
      case "bytes":
        return new Uint8Array(value as number[]);
      case "error": {
        const [name, message, stack] = value as [string, string, string];
        return Object.assign(new Error(message), { name, stack });
      }
      case "array":
        return (value as Wire[]).map(walk);
      case "object":
        return Object.fromEntries((value as [string, Wire][]).map(([key, part]) => [key, walk(part)]));
      default:
        return undefined;
    }
  };
  return walk(wire);
}
