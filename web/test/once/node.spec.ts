// In Node there is no IndexedDB, and no browser: what an application's own tests need of it is the store in memory.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "@playwright/test";

const run = promisify(execFile);

/** Runs a module in Node, in the package's own folder, and returns what it prints: as `import`, or by `require`. */
async function printed(source: string, type: "module" | "commonjs" = "module"): Promise<string> {
  const { stdout } = await run(process.execPath, [`--input-type=${type}`, "--eval", source]);
  return stdout.trim();
}

const story = `
  const holdfast = await open({ storage: "memory" });
  const chat = await holdfast.recover("chat");
  const ended = (id) => new Promise((resolve) => {
    const look = () => ["finished", "failed"].includes(chat.state.message(id)?.status) && resolve(chat.state.message(id));
    chat.subscribe(look);
    look();
  });
  chat.process(async ({ message, step }) => {
    await step.sleep("a moment", 10);
    if (message.id === "bad") throw new Error("no");
    return [await step("plan", () => message.body + "!"), await step.stream("answer", async function* () { yield "4"; yield "2"; })];
  }, { maxAttempts: 1 });
  await chat.send({ id: "good", body: "hello" });
  await chat.send({ id: "bad" });
  console.log(JSON.stringify([(await ended("good")).result, (await ended("bad")).error, (await holdfast.health()).storage]));
  await holdfast.close();
`;

test("the store in memory works, without an option, and lets the process end", async () => {
  expect(JSON.parse(await printed(`import { open } from "@holdfast-dev/holdfast"; ${story}`))).toEqual([["hello!", "42"], "Error: no", "memory"]);
});

test("by require it works as well", async () => {
  expect(JSON.parse(await printed(`(async () => { const { open } = require("@holdfast-dev/holdfast"); ${story} })()`, "commonjs"))).toEqual([["hello!", "42"], "Error: no", "memory"]);
});

test("what is not there is said: IndexedDB, or a file", async () => {
  const codes = await printed(`
    import { open } from "@holdfast-dev/holdfast";
    const failed = async (options) => { try { await open(options); } catch ({ code, message }) { return [code, message]; } };
    console.log(JSON.stringify([await failed({}), await failed({ storage: "memory", wasm: new URL("file:///nowhere.wasm") })]));
  `);
  expect(JSON.parse(codes)).toEqual([
    ["storage_unavailable", expect.stringContaining("there is no IndexedDB here")],
    ["instance_lost", "holdfast: open: instance_lost: file:///nowhere.wasm could not be read"],
  ]);
});

test("a shared store: two tabs hear of each other, one works, and the other takes over when it has crashed", async () => {
  const printedLines = await printed(`
    import { open } from "@holdfast-dev/holdfast";
    import { crashAfter, sharedStore } from "@holdfast-dev/holdfast/testing";
    const store = sharedStore();
    const [first, second] = [await store.open(), await store.open()];
    const [one, two] = [await first.recover("chat"), await second.recover("chat")];
    const status = (chat, id, wanted) => new Promise((resolve) => {
      const look = () => chat.state.message(id)?.status === wanted && resolve();
      chat.subscribe(look);
      look();
    });
    const work = [];
    const handle = (name) => async ({ message, step }) => step("plan", () => { work.push(name + " " + message.id); return message.id === "b" && name === "one" ? new Promise(() => {}) : name; });
    one.process(handle("one"));
    await two.send({ id: "a" });
    await status(two, "a", "finished");
    two.process(handle("two"));
    await one.send({ id: "b" });
    await status(two, "b", "processing");
    const died = crashAfter(first, 0);
    await Promise.all([died, status(two, "b", "finished")]);
    const late = await one.send({ id: "c" }).catch(({ code }) => code);
    const other = await sharedStore().open();
    const plain = await open({ storage: "memory" });
    const refused = await crashAfter(plain, 1).catch(({ code }) => code);
    console.log(JSON.stringify([work, two.state.message("b").result, late, refused, (await other.conversations()).length, Object.keys(globalThis).includes("indexedDB")]));
    for (const holdfast of [second, other, plain]) await holdfast.close();
  `);
  expect(JSON.parse(printedLines)).toEqual([["one a", "one b", "two b"], "two", "instance_lost", "invalid_argument", 0, false]);
});

test("in a shared store two tabs share all conversations, and each knows where one is processed", async () => {
  const printedLines = await printed(`
    import { crashAfter, sharedStore } from "@holdfast-dev/holdfast/testing";
    const store = sharedStore();
    const [first, second] = [await store.open(), await store.open()];
    const [own, free] = [await first.recover("own"), await second.recover("free")];
    own.process(() => "own");
    await own.send({ id: "m" });
    await own.ended("m");
    const places = [await own.runner(), await (await second.recover("own")).runner(), await free.runner()];
    const work = [];
    let stuck;
    const hangs = new Promise((resolve) => (stuck = resolve));
    const onError = (error) => work.push(String(error));
    first.process(async ({ conversation, step }) => {
      if (conversation.id === "late") await step("hangs", () => new Promise(stuck));
      work.push(conversation.id);
    }, { onError });
    const all = Array.from({ length: 10 }, (_, i) => second.create("c" + i));
    for (const chat of all) await chat.send({ id: "m" });
    await Promise.all(all.map((chat) => chat.ended("m")));
    const late = second.create("late");
    await late.send({ id: "m" });
    await hangs;
    second.process(({ conversation }) => (work.push("second " + conversation.id), "second"), { onError });
    await crashAfter(first, 0);
    const taken = (await late.ended("m")).result;
    console.log(JSON.stringify([places, work.toSorted(), taken]));
    await second.close();
  `);
  const all = Array.from({ length: 10 }, (_, i) => `c${i}`);
  expect(JSON.parse(printedLines)).toEqual([["here", "elsewhere", "nobody"], [...all, "second late"], "second"]);
});

test("where clones are of another realm, as under Vitest with jsdom, a shared store says what to do", async () => {
  const said = await printed(`
    import { runInNewContext } from "node:vm";
    import { sharedStore } from "@holdfast-dev/holdfast/testing";
    // As Vitest does with those of jsdom's window; structuredClone stays that of Node.
    for (const name of ["ArrayBuffer", "Uint8Array"]) globalThis[name] = runInNewContext(name);
    try { await sharedStore().open(); console.log("opened"); } catch ({ code, message }) { console.log(code, message); }
  `);
  expect(said).toMatch(/^invalid_argument .*\/\/ @vitest-environment node/);
});

test("a crash at any moment of an append leaves of it all or nothing, also of one that is being refused", async () => {
  const printedLines = await printed(`
    import { crashAfter, sharedStore } from "@holdfast-dev/holdfast/testing";
    const found = new Set();
    for (let tasks = 0, stored = false; !stored; tasks++) {
      const store = sharedStore();
      const [first, second] = [await store.open(), await store.open()];
      const [one, two] = [await first.recover("chat"), await second.recover("chat")];
      await two.setMetadata({ title: "T", pinned: true });
      one.send({ id: "m" }); // it is refused, since this handle does not know of the metadata, then tried again
      for (let i = 0; i < tasks; i++) await (i % 2 ? new Promise(setImmediate) : undefined);
      await crashAfter(first, 0);
      const next = await store.open();
      const again = await next.recover("chat");
      const { damage } = await next.verify("chat");
      stored = again.state.isReceived("m");
      found.add(JSON.stringify([again.metadata, again.state.received.map(({ id }) => id), damage]));
      await second.close();
      await next.close();
    }
    console.log(JSON.stringify([...found].map((text) => JSON.parse(text))));
  `);
  const stored = { pinned: true, title: "T" };
  expect(JSON.parse(printedLines)).toEqual([[stored, [], []], [stored, ["m"], []]]);
});

test("each call of crashAfter ends: with the crash that comes first, or with what is over", async () => {
  const printedLines = await printed(`
    import { crashAfter, sharedStore } from "@holdfast-dev/holdfast/testing";
    const store = sharedStore();
    const end = (call) => call.then(() => "crashed", ({ code, cause }) => code + " " + cause.code);
    const page = await store.open();
    const chat = await page.recover("chat");
    const calls = [end(crashAfter(page, 2)), end(crashAfter(page, 5))];
    await chat.send({ id: "a" });
    void chat.send({ id: "b" });
    const ends = await Promise.all(calls);
    ends.push(await end(crashAfter(page, 1)), await end(crashAfter(page, 0)));
    const next = await store.open();
    const stored = (await next.recover("chat")).state.received.map(({ id }) => id);
    const pending = end(crashAfter(next, 1));
    await next.close();
    ends.push(await pending, await end(crashAfter(next, 0)));
    console.log(JSON.stringify([ends, stored]));
  `);
  const ends = ["crashed", "crashed", "closed instance_lost", "closed instance_lost", "closed closed", "closed closed"];
  expect(JSON.parse(printedLines)).toEqual([ends, ["a", "b"]]);
});

test("nobody hears anything of a page that has crashed", async () => {
  const printedLines = await printed(`
    import { crashAfter, sharedStore } from "@holdfast-dev/holdfast/testing";
    const page = await sharedStore().open();
    const chat = await page.recover("chat");
    let heard = 0;
    chat.subscribe(() => heard++);
    page.subscribe(() => heard++);
    await chat.send({ id: "m" });
    await crashAfter(page, 0);
    const before = heard;
    await new Promise((resolve) => setTimeout(resolve, 50)); // a timer of the listeners would end before
    console.log(String(heard - before));
  `);
  expect(printedLines).toBe("0");
});
