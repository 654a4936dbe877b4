// Looks into the WebAssembly instances of a page, without a change of the package: it takes the browser's function for making them.

export interface Seen {
  readonly memory: WebAssembly.Memory;
  /** Calls of each imported function, and of each exported one as `go: name`. */
  readonly crossings: Map<string, number>;
}

/** The Go programs that start from now on, in order. With `count`, all calls between Go and JavaScript are counted. */
export function watchInstances(count: boolean): Seen[] {
  const seen: Seen[] = [];
  const instantiate = WebAssembly.instantiate.bind(WebAssembly) as (module: WebAssembly.Module, imports: WebAssembly.Imports) => Promise<WebAssembly.Instance>;
  const watching = async (module: WebAssembly.Module, imports: WebAssembly.Imports): Promise<WebAssembly.Instance> => {
    const crossings = new Map<string, number>();
    const counted = <T>(name: string, value: T): T => {
      if (!count || typeof value !== "function") return value;
      crossings.set(name, 0);
      const call = value as unknown as (...args: unknown[]) => unknown;
      return ((...args: unknown[]): unknown => {
        crossings.set(name, (crossings.get(name) ?? 0) + 1);
        return call(...args);
      }) as T;
    };
    const wrapped = Object.fromEntries(
      Object.entries(imports).map(([from, functions]) => [
        from,
        Object.fromEntries(Object.entries(functions).map(([name, value]) => [name, counted(name, value)])),
      ]),
    );
    const instance = await instantiate(module, wrapped);
    const { mem } = instance.exports;
    if (!(mem instanceof WebAssembly.Memory)) return instance;
    seen.push({ memory: mem, crossings });
    const exports = Object.fromEntries(Object.entries(instance.exports).map(([name, value]) => [name, counted(`go: ${name}`, value)]));
    // wasm_exec.js insists on an instance; its exports cannot be replaced, but hidden.
    return Object.create(instance, { exports: { value: exports } }) as WebAssembly.Instance;
  };
  WebAssembly.instantiate = watching as typeof WebAssembly.instantiate;
  return seen;
}
