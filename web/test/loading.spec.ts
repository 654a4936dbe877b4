// How the package gets its WebAssembly, where it runs, and what it does to the page.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Holdfast, OpenOptions } from "@holdfast-dev/holdfast";
import type * as Package from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import { rolldown } from "rolldown";
import { build } from "vite";
import { dist } from "../scripts/build-info.mjs";
import { type Failure, expect, test } from "./harness/holdfast.js";
import { type Answer as ServerAnswer, strictPolicy } from "./harness/server.js";
import { until } from "./harness/group.js";
import type { Answer } from "./pages/worker.js";

declare global {
  /** Asks a worker of a kind. */
  var ask: Record<"shared" | "service" | "nested" | "blob", () => Promise<Answer>>;
}

const path = "/dist/holdfast.wasm";
const wasm = readFileSync(join(dist, "holdfast.wasm"));

test.beforeEach(({ home, server }) => home.goto(`${server.origin}/unbundled`));

/** Opens a store by name, appends, closes; tells how that has failed. */
async function visit(home: Page): Promise<Failure | undefined> {
  return await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    return told.failure(async () => {
      const holdfast = await open();
      const conversation = await holdfast.recover("visits");
      await conversation.recordProcessingStarted("m");
      await holdfast.close();
    });
  });
}

/** Lets a worker do the same. */
async function visitInWorker(home: Page, compile = false): Promise<Answer> {
  return await home.evaluate(
    async ([compile, path]) => {
      const worker = new Worker("/bundle/worker.js", { type: "module" });
      const module = compile ? await WebAssembly.compileStreaming(fetch(path)) : undefined;
      const answer = await new Promise<Answer>((resolve) => {
        worker.onmessage = (event: MessageEvent<Answer>) => resolve(event.data);
        worker.onerror = (event) => resolve({ failure: event.message });
        worker.postMessage({ wasm: module }, []);
      });
      worker.terminate();
      return answer;
    },
    [compile, path] as const,
  );
}

test("nothing runs at import, and neither import nor open adds anything to the page", async ({ home, server }) => {
  const facts = await home.evaluate(async () => {
    const names = (): PropertyKey[] => Reflect.ownKeys(globalThis);
    const calls: string[] = [];
    const spy = (object: object, name: string): void => {
      const original = Reflect.get(object, name) as (...args: unknown[]) => unknown;
      Reflect.set(object, name, function (this: unknown, ...args: unknown[]) {
        // What drives the page may call it too, and has no address here.
        if (new Error().stack?.includes(location.origin)) calls.push(name);
        return Reflect.apply(original, this, args);
      });
    };
    for (const name of ["fetch", "setTimeout", "addEventListener", "queueMicrotask"]) spy(globalThis, name);
    for (const name of ["open", "databases"]) spy(IDBFactory.prototype, name);
    for (const name of ["getItem", "setItem"]) spy(Storage.prototype, name);
    for (const name of ["compile", "compileStreaming", "instantiate"]) spy(WebAssembly, name);
    const before = new Set(names());
    const { open } = await import("@holdfast-dev/holdfast");
    const atImport = [...calls];
    const holdfast = await open();
    const conversation = holdfast.create("c");
    await conversation.recordProcessingStarted("m");
    const added = names().filter((name) => !before.has(name));
    await holdfast.close();
    return { atImport, added: added.map(String), opened: ["fetch", "compileStreaming", "instantiate", "open"].every((name) => calls.includes(name)) };
  });
  expect(facts).toEqual({ atImport: [], added: [], opened: true });
  expect(server.requests.filter((request) => request.endsWith(".wasm"))).toEqual([path]);
});

test("it runs in a dedicated worker, which shares the database with the page", async ({ home }) => {
  expect(await visitInWorker(home)).toEqual({ events: 1, result: 42, added: [] });
  expect(await visit(home)).toBe(undefined);
  expect(await visitInWorker(home, true), "with a module compiled by the page").toEqual({ events: 3, result: 42, added: [] });
});

test("it runs in a shared worker, in a service worker, in a worker within a worker, and in one that imports it from a blob", async ({ home, server }) => {
  await home.evaluate(() => {
    const answerOf = (port: { onmessage: ((event: MessageEvent<Answer>) => void) | null }): Promise<Answer> =>
      new Promise((resolve) => (port.onmessage = ({ data }) => resolve(data)));
    const within = (code: string): string => URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const dedicated = (address: string): Promise<Answer> => {
      const worker = new Worker(address, { type: "module" });
      const answer = answerOf(worker);
      worker.postMessage({});
      return answer;
    };
    globalThis.ask = {
      shared: () => {
        const { port } = new SharedWorker("/bundle/worker.js", { type: "module" });
        const answer = answerOf(port);
        port.postMessage({});
        return answer;
      },
      service: async () => {
        const registration = await navigator.serviceWorker.register("/bundle/worker.js", { type: "module" });
        const { port1, port2 } = new MessageChannel();
        const answer = answerOf(port1);
        (registration.installing ?? registration.waiting ?? registration.active)?.postMessage({}, [port2]);
        const answered = await answer;
        await registration.unregister();
        return answered;
      },
      nested: () => dedicated(within(`const inner = new Worker("${location.origin}/bundle/worker.js", { type: "module" }); inner.onmessage = ({ data }) => postMessage(data); onmessage = ({ data }) => inner.postMessage(data);`)),
      blob: () => dedicated(within(`import "${location.origin}/bundle/worker.js";`)),
    };
  });
  const kinds = ["shared", "service", "nested", "blob"] as const;
  for (const [i, kind] of kinds.entries()) {
    expect(await home.evaluate((kind) => globalThis.ask[kind](), kind), kind).toEqual({ events: i + 1, result: 42, added: [] });
  }
  expect(server.requests.filter((request) => request.endsWith(".wasm")).length).toBe(kinds.length);
});

test("it runs under a strict policy, in the page and in a worker, and says what a stricter one lacks", async ({ home, server, complaints }) => {
  for (const script of ["/plain", "/bundle/worker.js"]) server.answer(script, { headers: strictPolicy });
  await home.goto(`${server.origin}/plain`);
  const events = await home.evaluate(async (bundle) => {
    const { open } = (await import(bundle)) as { open: () => Promise<Holdfast> };
    const holdfast = await open();
    await holdfast.create("visits").recordProcessingStarted("m");
    return (await holdfast.recover("visits")).expectedSeq;
  }, "/bundle/package.js");
  expect(events).toBe(1);
  expect(await visitInWorker(home)).toEqual({ events: 2, result: 42, added: [] });

  const stricter = { "content-security-policy": "default-src 'self'" };
  server.answer("/bundle/worker.js", { headers: stricter });
  expect((await visitInWorker(home)).failure).toMatch(/^invalid_argument: .*Content-Security-Policy lacks 'wasm-unsafe-eval'/);
  // The test's own page has an icon that the policy forbids.
  expect(complaints.splice(0).filter((text) => !text.includes("Loading the image 'data:,'"))).toEqual([]);
});

for (const type of ["text/plain", "application/octet-stream", "application/wasm; charset=utf-8", "Application/WASM", "text/html", ""]) {
  test(`a server that calls it "${type}" will do`, async ({ home, server }) => {
    server.answer(path, { headers: { "content-type": type } });
    expect(await visit(home)).toBe(undefined);
  });
}

const html = "<!doctype html><title>My app</title>";
const wrong: readonly (readonly [string, ServerAnswer, Partial<Failure>, RegExp])[] = [
  ["404", { status: 404 }, { code: "instance_lost" }, /\/dist\/holdfast\.wasm answered 404; copy .*dist\/holdfast\.wasm there/],
  ["404 with the right type", { status: 404, headers: { "content-type": "application/wasm" } }, { code: "instance_lost" }, /answered 404/],
  ["500", { status: 500, body: "oops" }, { code: "instance_lost" }, /answered 500/],
  ["the page of the app", { headers: { "content-type": "text/html" }, body: html }, { code: "invalid_argument" }, /\/dist\/holdfast\.wasm is not the WebAssembly of Holdfast but a page of HTML; copy .*open\(\{ wasm: "\/holdfast\.wasm" \}\)/],
  ["a page without a type", { headers: { "content-type": "" }, body: html }, { code: "invalid_argument" }, /but a page of HTML/],
  ["another file", { headers: { "content-type": "text/plain" }, body: "oops" }, { code: "invalid_argument" }, /but 4 bytes of "text\/plain"/],
  ["HTML that says it is WebAssembly", { body: html }, { code: "invalid_argument" }, /\/dist\/holdfast\.wasm is not the WebAssembly/],
  ["nothing", { body: "" }, { code: "invalid_argument" }, /is not the WebAssembly/],
  ["another build of this release", { body: Buffer.concat([wasm.subarray(0, -1), Buffer.from("x")]) }, { code: "invalid_argument" }, /not the WebAssembly of this release.* reload/],
  ["a release from before builds had names", { body: wasm.subarray(0, -43) }, { code: "invalid_argument" }, /not the WebAssembly of this release.* reload/],
  ["half of it", { body: wasm.subarray(0, wasm.length / 2) }, { code: "invalid_argument" }, /is not the WebAssembly/],
];

test("what a server answers in its place is named, and the next open works", async ({ home, server, complaints }) => {
  for (const [name, answer, expected, message] of wrong) {
    server.answer(path, answer);
    const failure = await visit(home);
    expect.soft(failure, name).toMatchObject({ operation: "open", ...expected });
    expect.soft(failure?.outcome, name).not.toBe("unknown");
    expect.soft(failure?.message, name).toMatch(message);
  }
  server.answer(path);
  expect(await visit(home)).toBe(undefined);
  expect(complaints.splice(0).filter((text) => !text.includes("Failed to load resource"))).toEqual([]);
});

test("a connection that breaks in the middle", async ({ home, server, complaints }) => {
  for (const type of ["application/wasm", "text/plain"]) {
    server.requests.length = 0;
    server.answer(path, { headers: { "content-type": type, "content-length": `${wasm.length}` }, body: wasm.subarray(0, 100_000) });
    const failed = visit(home);
    await until(() => server.requests.includes(path), 10_000, "the wasm was not asked for");
    server.cut();
    expect(await failed).toMatchObject({ code: "instance_lost", outcome: "not_written", message: expect.stringContaining("could not be") });
    server.restore();
  }
  expect(complaints.splice(0).filter((text) => !text.includes("Failed to load resource"))).toEqual([]);
});

test("the WebAssembly can be given in many forms", async ({ home }) => {
  const failures = await home.evaluate(async (path) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const bytes = await (await fetch(path)).arrayBuffer();
    const padded = new Uint8Array(bytes.byteLength + 100).fill(0xff);
    padded.set(new Uint8Array(bytes), 50);
    const blob = new Blob([bytes], { type: "application/wasm" });
    const inline = await new Promise<string>((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result as string);
      reader.readAsDataURL(blob);
    });
    const forms: Record<string, () => unknown> = {
      "nothing": () => undefined,
      "URL": () => new URL(path, location.href),
      "address": () => new URL(path, location.href).href,
      "relative address": () => path,
      "blob address": () => URL.createObjectURL(blob),
      "data address": () => inline,
      "response": async () => fetch(path),
      "promise of a response": () => fetch(path),
      "response made by hand": () => new Response(bytes),
      "response of a type": () => new Response(bytes, { headers: { "content-type": "application/wasm" } }),
      "buffer": () => bytes,
      "view with an offset": () => padded.subarray(50, 50 + bytes.byteLength),
      "data view": () => new DataView(padded.buffer, 50, bytes.byteLength),
      "module": () => WebAssembly.compile(bytes),
    };
    const failures: Record<string, unknown> = {};
    for (const [name, make] of Object.entries(forms)) {
      const made = make();
      // Only a module has to be there already.
      const wasm = (name === "module" || name === "response" ? await made : made) as string;
      const failure = await told.failure(async () => {
        const holdfast = await open({ wasm, storage: "memory" });
        await holdfast.create("c").recordProcessingStarted("m");
        await holdfast.close();
      });
      if (failure !== undefined) failures[name] = failure.message;
    }
    return failures;
  }, path);
  expect(failures).toEqual({});
});

test("its hash can be pinned, as dist/build.json has it: other bytes are not started", async ({ home, server, complaints }) => {
  const { wasmIntegrity: integrity } = JSON.parse(readFileSync(join(dist, "build.json"), "utf8")) as { wasmIntegrity: string };
  const visit = (): Promise<Failure | undefined> =>
    home.evaluate(
      async ([path, integrity]) => {
        const { open } = await import("@holdfast-dev/holdfast");
        return told.failure(async () => (await open({ wasm: fetch(path, { integrity }), storage: "memory" })).close());
      },
      [path, integrity] as const,
    );
  expect(await visit()).toBe(undefined);
  server.answer(path, { body: Buffer.concat([wasm, Buffer.from([0, 1, 0])]) }); // with an empty custom section: as valid as before
  expect(await visit()).toMatchObject({ code: "instance_lost", outcome: "not_written" });
  expect(complaints.splice(0).filter((text) => !text.includes("integrity"))).toEqual([]);
});

test("what is not our WebAssembly is refused", async ({ home }) => {
  const failures = await home.evaluate(async (path) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const bytes = await (await fetch(path)).arrayBuffer();
    const header = [0, 97, 115, 109, 1, 0, 0, 0];
    const importing = [...header, 1, 4, 1, 0x60, 0, 0, 2, 9, 1, 3, 101, 110, 118, 1, 102, 0, 0]; // (import "env" "f" (func))
    const forms: Record<string, unknown> = {
      "garbage": crypto.getRandomValues(new Uint8Array(1000)),
      "no bytes": new Uint8Array(),
      "half of ours": bytes.slice(0, bytes.byteLength / 2),
      "an empty module": new Uint8Array(header),
      "a compiled empty module": await WebAssembly.compile(new Uint8Array(header)),
      "a module that imports something else": new Uint8Array(importing),
      "its instance": (await WebAssembly.instantiate(new Uint8Array(header))).instance,
      "a response of garbage": new Response("garbage"),
      "a promise of something else": Promise.resolve(bytes),
    };
    const failures: Record<string, unknown> = {};
    for (const [name, wasm] of Object.entries(forms)) {
      const failure = await told.failure(open({ wasm: wasm as string }));
      failures[name] = [failure?.code, failure?.operation, failure?.outcome];
    }
    return { failures, databases: (await indexedDB.databases()).length };
  }, path);
  expect(new Set(Object.values(failures.failures).map(String))).toEqual(new Set(["invalid_argument,open,permanent"]));
  expect(failures.databases).toBe(0);
});

test("in a module from a blob it asks for the address of its WebAssembly", async ({ home }) => {
  const built = await build({
    configFile: false,
    logLevel: "silent",
    build: { write: false, target: "es2022", lib: { entry: join(dist, "index.js"), formats: ["es"] } },
  });
  const [{ output } = { output: [] }] = [built].flat() as unknown as readonly { readonly output: readonly { readonly code?: string }[] }[];
  // Vite inlines the WebAssembly; other bundlers leave the expression as it is.
  const code = (output[0]?.code ?? "").replace(/new URL\([^)]*import\.meta\.url\)(\.href)?/, 'new URL("./holdfast.wasm", import.meta.url)');
  expect(code).toContain('new URL("./holdfast.wasm", import.meta.url)');
  const facts = await home.evaluate(
    async ([code, path]) => {
      const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
      const { open } = (await import(address)) as { readonly open: (options?: OpenOptions) => Promise<Holdfast> };
      const failure = await open().catch((error: unknown) => [(error as Failure).code, (error as Failure).message]);
      const holdfast = await open({ wasm: path });
      return { failure, works: await holdfast.create("c").recordProcessingStarted("m") };
    },
    [code, path] as const,
  );
  expect(facts).toEqual({
    failure: ["invalid_argument", expect.stringMatching(/blob:.* says nothing of where holdfast\.wasm is; give its whole address, with the origin, as the option wasm$/)],
    works: 0,
  });
});

test("stores that pile up are a warning in development, once, and those that were closed do not count", async ({ home }) => {
  const warnings = await home.evaluate(async (bundle) => {
    const heard: string[] = [];
    console.warn = (text: string) => void heard.push(text);
    const { open } = (await import(bundle)) as typeof Package;
    for (let i = 0; i < 4; i++) await (await open()).close();
    for (let i = 0; i < 2; i++) await open();
    for (let i = 0; i < 4; i++) await Promise.all([open({ database: `other ${i}` }), open({ storage: "memory" })]);
    await open();
    console.warn("until here, none");
    for (let i = 0; i < 2; i++) await open();
    return heard;
  }, "/bundle/package.js");
  expect(warnings).toEqual(["until here, none", expect.stringMatching(/4 stores of the database "holdfast" are open.*import\.meta\.hot\.dispose/)]);
});

test("in a script that is no module it asks for the address of its WebAssembly", async ({ home }) => {
  const bundle = await rolldown({ input: join(dist, "index.js"), logLevel: "silent" });
  const { output } = await bundle.generate({ format: "iife", name: "script" });
  const facts = await home.evaluate(
    async ([code, path]) => {
      const script = document.createElement("script");
      script.textContent = code;
      document.head.append(script);
      const { open } = (globalThis as unknown as { readonly script: { readonly open: (options?: OpenOptions) => Promise<Holdfast> } }).script;
      const failure = await open().catch((error: unknown) => [(error as Failure).code, (error as Failure).message]);
      const holdfast = await open({ wasm: path });
      return { failure, works: await holdfast.create("c").recordProcessingStarted("m") };
    },
    [output[0].code, path] as const,
  );
  expect(facts).toEqual({ failure: ["invalid_argument", expect.stringContaining("give its whole address, with the origin, as the option wasm")], works: 0 });
});

test("where there is no WebAssembly, that is said", async ({ home }) => {
  const failure = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    Reflect.deleteProperty(globalThis, "WebAssembly"); // as in Safari's Lockdown Mode
    return told.failure(open());
  });
  expect(failure).toMatchObject({ code: "invalid_argument", operation: "open", message: expect.stringContaining("there is no WebAssembly here") });
});

test("once it is loaded it needs no network", async ({ home, server, complaints }) => {
  const tab = await home.evaluateHandle(async (path) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const wasm = await WebAssembly.compileStreaming(fetch(path));
    const holdfast = await open({ wasm });
    return { open, wasm, holdfast, c: holdfast.create("c") };
  }, path);
  await tab.evaluate(({ c }) => c.receiveMessage({ id: "m" }));
  server.cut();
  const facts = await tab.evaluate(async ({ open, wasm, holdfast, c }) => {
    const sequence = await c.recordStepCompleted("m", 0, "offline");
    const again = await open({ wasm, database: "another" });
    const unreachable = await told.failure(open());
    return {
      sequence,
      recovered: (await holdfast.recover("c")).state.completedStep("m", 0)?.output,
      health: (await holdfast.health()).storage,
      another: await again.create("c").recordProcessingStarted("m"),
      unreachable: [unreachable?.code, unreachable?.outcome, unreachable?.message.includes("/dist/holdfast.wasm could not be fetched")],
    };
  });
  expect(facts).toEqual({
    sequence: 1,
    recovered: "offline",
    health: "indexeddb",
    another: 0,
    unreachable: ["instance_lost", "not_written", true],
  });
  expect(complaints.splice(0).filter((text) => !text.includes("Failed to load resource"))).toEqual([]);
});
