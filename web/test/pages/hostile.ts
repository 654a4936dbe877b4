// Values that no caller without types should be able to break anything with. Each is made afresh for each use.

export interface HostileValue {
  readonly name: string;
  readonly make: () => unknown;
}

/** Throws whatever is done with it, and what it throws is such a thing, too. */
function evil(target: object): unknown {
  return new Proxy(target, new Proxy({}, { get: () => fail }));
}

function fail(): never {
  throw evil({}); // oxlint-disable-line typescript/only-throw-error
}

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** An object whose properties of these names throw when they are read. */
function withGetters(...names: string[]): object {
  return Object.defineProperties({}, Object.fromEntries(names.map((name) => [name, { get: fail, enumerable: true }])));
}

function withMethods(...names: PropertyKey[]): object {
  return Object.fromEntries(names.map((name) => [name, fail]));
}

function thenable(then: (resolve: (value: unknown) => void) => unknown): unknown {
  return { then }; // oxlint-disable-line unicorn/no-thenable
}

function nested(depth: number): unknown {
  let value: unknown = 0;
  for (let i = 0; i < depth; i++) value = i % 2 ? { value } : [value];
  return value;
}

/** 2^60 items for who walks through them all. */
function laughs(): unknown {
  let value: unknown = "ha";
  for (let i = 0; i < 30; i++) value = [value, value, value, value];
  return value;
}

function cyclic(): unknown {
  const value: Record<string, unknown> = { list: [] };
  value["self"] = value;
  (value["list"] as unknown[]).push(value, value);
  return value;
}

function detached(): ArrayBuffer {
  const buffer = new ArrayBuffer(16);
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
}

function detachedView(): Uint8Array {
  const view = new Uint8Array(16);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

function foreignWindow(): unknown {
  const frame = document.createElement("iframe");
  frame.sandbox.add("allow-scripts"); // of another, opaque origin
  document.body.append(frame);
  return frame.contentWindow;
}

function rejected(): Promise<never> {
  const promise = Promise.reject(new Error("rejected"));
  promise.catch(() => undefined); // whoever ignores it has not made it
  return promise;
}

class Impostor extends Date {
  override getTime(): number {
    return fail();
  }
}

class Liar extends Uint8Array {
  override get byteLength(): number {
    return 2 ** 40;
  }
}

const primitives: readonly unknown[] = [
  undefined, null, true, false, 0, -0, 1, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e308,
  0n, 2n ** 64n, Symbol("s"), Symbol.iterator,
  "", "m", " ", "0", "\0", "a\0b", "\ud800", "\udc00x", "😀\ud83d", "\ufeff", "__proto__", "constructor", "toString", "../..", "//", "http://[", "javascript:0", "data:,x",
];

const objects: Readonly<Record<string, () => unknown>> = {
  "a name of 1025 bytes": () => "x".repeat(1025),
  "a name of 1025 bytes in 342 characters": () => `${"€".repeat(341)}xx`,
  "a string of 8 MiB": () => "x".repeat(8 * 2 ** 20),
  "a string of 64 MiB": () => "x".repeat(64 * 2 ** 20),
  "a string of 128 MiB in UTF-16": () => "€".repeat(64 * 2 ** 20),
  "{}": () => ({}),
  "[]": () => [],
  "[[]]": () => [[]],
  "an array of strings": () => ["m"],
  "a sparse array": () => [, 1, , 2], // oxlint-disable-line no-sparse-arrays
  "an endless array": () => Array(2 ** 32 - 1),
  "an array of 9,000,000": () => Array(9_000_000).fill(0),
  "an array with getters": () => Object.defineProperty([1, 2], 1, { get: fail }),
  "a proxy that throws": () => evil({}),
  "a function proxy that throws": () => evil(() => undefined),
  "an array proxy that throws": () => evil([]),
  "a proxy of a date": () => new Proxy(new Date(0), {}),
  "a proxy of bytes": () => new Proxy(new Uint8Array(4), {}),
  "a proxy of a module": () => Object.create(WebAssembly.Module.prototype) as unknown,
  "an array that lies about its length": () => new Proxy([], { get: (_, key) => (key === "length" ? Infinity : undefined) }),
  "a proxy with endless keys": () => new Proxy({}, { ownKeys: () => Array.from({ length: 1e4 }, (_, i) => `k${i}`), getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }) }),
  "a revoked proxy": () => revoked({}),
  "a revoked array": () => revoked([]),
  "a revoked function": () => revoked(() => undefined),
  "throwing getters": () => withGetters("id", "body", "receivedAt", "from", "limit", "database", "storage", "wasm", "length", "then"),
  "throwing getter id": () => withGetters("id"),
  "throwing getter then": () => withGetters("then"),
  "throwing conversions": () => withMethods("toString", "valueOf", "toJSON", Symbol.toPrimitive, "then"),
  "a thenable that never settles": () => thenable(() => undefined),
  "a thenable that resolves twice": () => thenable((resolve) => [resolve(0), resolve(1)]),
  "a promise": () => Promise.resolve("m"),
  "a rejected promise": rejected,
  "a function": () => () => undefined,
  "an async function": () => async () => undefined,
  "a function that throws": () => fail,
  "a class": () => Liar,
  "an invalid date": () => new Date(NaN),
  "a date that throws": () => new Impostor(),
  "no date at all": () => Object.create(Date.prototype) as unknown,
  "no bytes at all": () => Object.create(Uint8Array.prototype) as unknown,
  "no response at all": () => Object.create(Response.prototype) as unknown,
  "no URL at all": () => Object.create(URL.prototype) as unknown,
  "bytes that lie about their length": () => new Liar(4),
  "64 MiB of bytes": () => new Uint8Array(64 * 2 ** 20),
  "a detached buffer": detached,
  "a detached view": detachedView,
  "shared memory": () => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer,
  "shared bytes": () => new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer, 0, 8),
  "a wasm memory": () => new WebAssembly.Memory({ initial: 1 }),
  "other numbers": () => new Float64Array(2),
  "a data view": () => new DataView(new ArrayBuffer(2)),
  "a map": () => new Map([["id", "m"]]),
  "a set": () => new Set(["m"]),
  "a weak map": () => new WeakMap(),
  "a regular expression": () => /m/,
  "an error": () => new Error("m"),
  "a wrapped string": () => Object("m") as unknown,
  "a wrapped number": () => Object(1) as unknown,
  "a wrapped bigint": () => Object(1n) as unknown,
  "a generator": () => (function* () {})(),
  "a header list": () => new Headers({ id: "m" }),
  "a bare object": () => Object.create(null) as unknown,
  "an object with the key __proto__": () => JSON.parse('{"__proto__":{"id":"m"}}') as unknown,
  "a symbol key": () => ({ [Symbol("k")]: 1 }),
  "a cycle": cyclic,
  "nested 33 deep": () => nested(33),
  "nested 100,000 deep": () => nested(100_000),
  "a billion laughs": laughs,
  "window": () => window,
  "another origin's window": foreignWindow,
  "a DOM node": () => document.body,
  "document.all": () => document.all,
  "Math": () => Math,
  "an event": () => new Event("m"),
  "a URL": () => new URL("/nothing", location.href),
  "an empty response": () => new Response(""),
  "a failed response": () => Response.error(),
  "a response that was read": () => {
    const response = new Response("x");
    void response.text();
    return response;
  },
  "a response that breaks": () => new Response(new ReadableStream({ start: (controller) => controller.error(new Error("broken")) })),
  "a blob": () => new Blob(["m"]),
};

export const hostileValues: readonly HostileValue[] = [
  ...primitives.map((value) => ({ name: typeof value === "string" ? JSON.stringify(value) : `${typeof value} ${String(value)}`, make: () => value })),
  ...Object.entries(objects).map(([name, make]) => ({ name, make })),
];
