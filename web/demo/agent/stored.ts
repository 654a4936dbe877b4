// Reads the outputs of earlier steps. They come from the log, so nothing is taken for granted about them.

export function numberFrom(output: unknown, name: string): number {
  const value = from(output, name);
  if (typeof value !== "number") throw wrong(name, "a number");
  return value;
}

export function textFrom(output: unknown, name: string): string {
  const value = from(output, name);
  if (typeof value !== "string") throw wrong(name, "a text");
  return value;
}

export function textsFrom(output: unknown, name: string): string[] {
  const value = from(output, name);
  if (!Array.isArray(value)) throw wrong(name, "a list of texts");
  return value.map((item: unknown) => {
    if (typeof item !== "string") throw wrong(name, "a list of texts");
    return item;
  });
}

function from(output: unknown, name: string): unknown {
  return typeof output === "object" && output !== null ? (Reflect.get(output, name) as unknown) : undefined;
}

function wrong(name: string, expected: string): Error {
  return new Error(`the stored output has no ${name} that is ${expected}`);
}
