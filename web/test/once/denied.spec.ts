// What the browser denies to a page, its getters throw: localStorage where cookies are blocked. Scripts of others put their
// own in place of more. None of that may end the program: what cannot be read is not there.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { expect, test } from "../harness/holdfast.js";

declare global {
  /** The properties of the page's own objects that have been read by Reflect.get, as the program does. */
  var readHere: Set<string>;
}

/** The objects of the page from which the program begins. */
const roots = ["globalThis", "navigator", "navigator.storage", "document", "FileSystemFileHandle", "FileSystemFileHandle.prototype"];

/** A whole life of a conversation; says how it has ended. */
async function live(page: Page, database: string): Promise<string> {
  return await page.evaluate(async (database) => {
    const { open, HoldfastError } = await import("@holdfast-dev/holdfast");
    try {
      const holdfast = await open({ database });
      const chat = await holdfast.recover("chat");
      let told: (end: string) => void = () => undefined;
      const ended = new Promise<string>((resolve) => (told = resolve));
      chat.subscribe(() => {
        const message = chat.state.message("m");
        if (message?.status === "finished") told(String(message.result));
      });
      const onError = (error: Error): void => told(`reported: ${(error as { readonly code?: string }).code}`);
      chat.process(({ step }) => step("answer", () => "works"), { onError });
      await chat.send({ id: "m" });
      const result = await ended;
      await holdfast.health();
      await holdfast.close();
      return result;
    } catch (error) {
      return error instanceof HoldfastError ? `${error.code} ${error.outcome}` : `raw: ${String(error)}`;
    }
  }, database);
}

test("every property of the page that the program reads may throw", async ({ home, server }) => {
  await home.addInitScript((roots) => {
    globalThis.readHere = new Set();
    const { get } = Reflect;
    const known = new Map(roots.map((path) => [path.split(".").reduce((object: object, name) => (name === "globalThis" ? object : (get(object, name) as object)), globalThis), path]));
    Reflect.get = (target: object, key: PropertyKey, ...rest: [unknown?]): never => {
      const root = known.get(target);
      if (root !== undefined && typeof key === "string") globalThis.readHere.add(`${root} ${key}`);
      return get(target, key, ...rest) as never;
    };
  }, roots);
  await home.goto(server.origin);
  expect(await live(home, "spied")).toBe("works");
  const fixed = ["globalThis document", "FileSystemFileHandle prototype"]; // nobody can replace these
  const language = ["Array", "Object", "Promise", "Uint8Array", "encodeURIComponent"].map((name) => `globalThis ${name}`);
  const read = (await home.evaluate(() => [...globalThis.readHere])).filter((name) => !name.includes(" holdfast") && ![...fixed, ...language].includes(name));

  const ends: Record<string, string> = {};
  for (const name of read) {
    const restore = await home.evaluateHandle((name) => {
      const [path = "", key = ""] = name.split(" ");
      const root = path.split(".").reduce((object: object, part) => (part === "globalThis" ? object : (Reflect.get(object, part) as object)), globalThis);
      const own = Object.getOwnPropertyDescriptor(root, key);
      const value: unknown = Reflect.get(root, key);
      Object.defineProperty(root, key, {
        configurable: true,
        get() {
          // What drives the page needs some of them.
          if (new Error().stack?.includes("/bundle/") !== true) return value;
          throw new DOMException("denied", "SecurityError");
        },
      });
      return () => (own === undefined ? Reflect.deleteProperty(root, key) : Object.defineProperty(root, key, own));
    }, name);
    ends[name] = await live(home, name);
    await restore.evaluate((restore) => restore());
  }
  const all = (names: string, end: string): Record<string, string> => Object.fromEntries(names.split(", ").map((name) => [name, end]));
  expect(ends).toEqual({
    ...all("globalThis crypto, globalThis performance, globalThis TextEncoder, globalThis TextDecoder", "invalid_argument permanent"),
    ...all("globalThis indexedDB, globalThis IDBKeyRange, globalThis self, globalThis addEventListener, globalThis MutationObserver", "storage_unavailable not_written"),
    ...all("globalThis AbortController", "reported: storage_unavailable"), // without it no lock can be asked for
    ...all("globalThis fs, globalThis process, globalThis path, globalThis navigator, navigator storage, navigator locks", "works"),
    ...all("globalThis BroadcastChannel, document hidden, globalThis removeEventListener", "works"),
    ...all("navigator.storage getDirectory, globalThis FileSystemFileHandle, FileSystemFileHandle.prototype createWritable", "works"),
  });
});

test("localStorage that throws, where files cannot be written", async ({ home, server }) => {
  await home.addInitScript(() => {
    Reflect.deleteProperty(FileSystemFileHandle.prototype, "createWritable");
    Object.defineProperty(globalThis, "localStorage", {
      get() {
        throw new DOMException("denied", "SecurityError");
      },
    });
  });
  await home.goto(server.origin);
  expect(await live(home, "a")).toBe("works");
});

test("where the user blocks all cookies, storage_unavailable says that the browser denies it", { tag: "@launch" }, async ({ launch, profile, server }) => {
  await mkdir(join(profile, "Default"), { recursive: true });
  await writeFile(join(profile, "Default", "Preferences"), JSON.stringify({ profile: { default_content_setting_values: { cookies: 2 } } }));
  const page = await (await launch()).newPage();
  await page.goto(server.origin);
  expect(await page.evaluate(() => localStorage.length).catch((error: unknown) => String(error))).toContain("SecurityError");
  expect(await live(page, "a")).toBe("storage_unavailable not_written");
});

test("in a sandboxed frame, whose origin is opaque, it is the same, and the store in memory works", async ({ home, server }) => {
  server.headers = { "access-control-allow-origin": "*" };
  server.answer("/frame", {
    body: `<!doctype html><script type="module">
      import { open } from "${server.origin}/dist/holdfast.js";
      const life = async (storage) => {
        const holdfast = await open({ storage });
        const chat = await holdfast.recover("chat");
        await chat.send({ id: "m" });
        const { persisted } = await holdfast.health();
        await holdfast.close();
        return persisted + " " + await holdfast.persist().catch(({ code }) => code);
      };
      const ends = [origin];
      for (const storage of ["indexeddb", "memory"]) ends.push(await life(storage).catch(({ code, message }) => code + ": " + message));
      parent.postMessage(ends, "*");
    </script>`,
  });
  const ends = await home.evaluate(
    () =>
      new Promise((resolve) => {
        onmessage = ({ data }) => resolve(data);
        const frame = document.createElement("iframe");
        frame.sandbox.add("allow-scripts");
        frame.src = "/frame";
        document.body.append(frame);
      }),
  );
  expect(ends).toEqual(["null", expect.stringMatching(/^storage_unavailable: .*SecurityError/), "undefined closed"]);
});
