// The code of docs/extension.md, as it stands there, in extensions whose service worker is ended: by the browser, because it is
// idle, or by the test.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Page } from "@playwright/test";
import type * as Package from "@holdfast-dev/holdfast";
import type { RunnerPlace, Work } from "@holdfast-dev/holdfast";
import type * as ForExtensions from "@holdfast-dev/holdfast/extension";
import { readDocument, typeErrors } from "./harness/document.js";
import { bundle, endWorkers, type Extension, openPage } from "./harness/extension.js";
import { type Call, Model } from "./harness/model.js";
import { expect, test as base } from "./harness/test.js";

/** What the tests call of chrome.alarms. */
interface Alarms {
  getAll(): Promise<{ readonly name: string; readonly scheduledTime: number; readonly periodInMinutes?: number }[]>;
  clearAll(): Promise<boolean>;
}

declare global {
  /** In lab.html, and in the content script. */
  var lab: typeof Package & typeof ForExtensions;
}

// Most of the time they wait for the browser.
base.describe.configure({ mode: "parallel" });

/** An alarm fires that long after it was set, at the latest, and then a worker starts. */
const alarmDeadline = 60_000;

const { files: written } = readDocument("extension.md");

/** Of the question, which is an address of the model, the steps depend. */
const agent = `
  import type { Work } from "@holdfast-dev/holdfast";
  export async function agent({ message, step }: Work): Promise<unknown> {
    const question = String(message.body);
    const ask = async (about: string, key: string): Promise<string> => {
      const response = await fetch(question + "/" + about, { method: "POST", body: "{}", headers: { "idempotency-key": key } });
      return (await response.json()).choices[0].message.content;
    };
    await step("plan", ({ idempotencyKey }) => ask("plan", idempotencyKey));
    if (question.endsWith("/sleeps")) await step.sleep("rest", 5000);
    if (question.endsWith("/waits")) await step.wait("permission");
    return await step("answer", ({ idempotencyKey }) => ask("answer", idempotencyKey));
  }`;

/** The files of the document, some of them changed, and more of them. */
function variant(changes: Readonly<Record<string, (code: string) => string>> = {}, more: Readonly<Record<string, string>> = {}): Map<string, string> {
  const files = new Map([...written, ["agent.ts", agent], ["chrome.d.ts", "declare const chrome: any;"], ...Object.entries(more)]);
  const servers = (code: string): string => code.replace("https://api.example.com/*", "http://127.0.0.1/*");
  for (const [name, change] of [["public/manifest.json", servers] as const, ...Object.entries(changes)]) {
    const code = files.get(name) ?? "";
    const changed = change(code);
    if (changed === code) throw new Error(`${name} of the document has changed: what this variant replaces is not there`);
    files.set(name, changed);
  }
  return files;
}

const more = (...pages: string[]) => (code: string): string => code.replace(`["panel.html", `, `["panel.html", ${pages.map((page) => `"${page}", `).join("")}`);

const page = (script: string): string => `<!doctype html><script type="module" src="./${script}"></script>`;

/** For a page of an extension, and for a content script, which imports it. */
const labScript = `
  import * as holdfast from "@holdfast-dev/holdfast";
  import * as extension from "@holdfast-dev/holdfast/extension";
  Object.assign(globalThis, { lab: { ...holdfast, ...extension } });`;

interface WorkerFixtures {
  /** That of the document. */
  extension: Extension;
  /** Makes a variant of it. */
  make: (files: ReadonlyMap<string, string>) => Promise<Extension>;
}

const test = base.extend<{ model: Model }, WorkerFixtures>({
  make: [
    // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
    async ({}, use) => {
      const made: Extension[] = [];
      await use(async (files) => {
        const extension = await bundle(files);
        made.push(extension);
        return extension;
      });
      for (const extension of made) extension.remove();
    },
    { scope: "worker" },
  ],
  extension: [async ({ make }, use) => use(await make(variant())), { scope: "worker" }],
  // oxlint-disable-next-line no-empty-pattern
  model: async ({}, use) => {
    const model = await Model.start("");
    await use(model);
    await model.close();
  },
});

const loading = (...extensions: Extension[]): { args: string[] } => ({ args: [`--load-extension=${extensions.map(({ folder }) => folder).join(",")}`] });

async function ask(panel: Page, question: string): Promise<void> {
  await panel.getByRole("textbox").fill(question);
  await panel.getByRole("button", { name: "Ask" }).click();
  await expect(panel.getByRole("textbox")).toHaveValue("");
}

const item = (panel: Page): ReturnType<Page["getByRole"]> => panel.getByRole("listitem");

async function clearAlarms(panel: Page): Promise<void> {
  await panel.evaluate(() => (globalThis as unknown as { chrome: { alarms: Alarms } }).chrome.alarms.clearAll());
}

/** The alarms of an extension, by the names and the times at which they fire. */
async function alarmsOf(panel: Page): Promise<[name: string, when: number, period: number | undefined][]> {
  const all = await panel.evaluate(() => (globalThis as unknown as { chrome: { alarms: Alarms } }).chrome.alarms.getAll());
  return all.map(({ name, scheduledTime, periodInMinutes }) => [name, scheduledTime, periodInMinutes]);
}

/** Answers the plan, and waits for the request of the answer. */
async function planned(model: Model): Promise<Call> {
  const plan = await model.next();
  expect(plan.path).toMatch(/plan$/);
  plan.say("look it up");
  const answer = await model.next();
  expect(answer.path).toMatch(/answer$/);
  return answer;
}

test("a worker that the browser ends when it is idle is kept awake, and its long step is paid once; without keepAwake it is cut off", { tag: "@launch" }, async ({ launch, model, profile, extension, make }) => {
  const without = await make(variant({ "background.ts": (code) => code.replace("keepAwake(agent)", "agent").replace(/^.*\/extension";\n/m, "") }));
  const running = await launch(loading(extension, without));
  const panels = [await openPage(running.context, extension, "panel.html"), await openPage(running.context, without, "panel.html")] as const;
  await ask(panels[0], `${model.origin}/kept`);
  const kept = await planned(model);
  await ask(panels[1], `${model.origin}/cut`);
  const cut = await planned(model);
  await clearAlarms(panels[0]); // else each of them would keep it awake, as long as none comes late
  const began = performance.now();
  let isGone = false;
  void kept.gone.then(() => (isGone = true));
  // As long as somebody is attached to a worker, the browser does not end it.
  await running.browser.close();
  await cut.gone;
  const lasted = Number(process.env["STEP_SECONDS"] ?? 0) * 1000;
  while (performance.now() - began < lasted) {
    const again = await model.next(alarmDeadline); // its panel wakes the worker that was cut off
    expect(again).toMatchObject({ path: "/cut/answer", key: cut.key });
    await again.gone;
  }
  expect(isGone, "the step that is kept goes on").toBe(false);
  kept.say("42");

  const [port] = readFileSync(join(profile, "DevToolsActivePort"), "utf8").split("\n");
  const again = await chromium.connectOverCDP(`http://127.0.0.1:${port}`);
  const panel = again.contexts()[0]?.pages().find((one) => one.url().startsWith(extension.origin));
  if (panel === undefined) throw new Error("the panel is gone");
  await expect(item(panel)).toHaveText(`${model.origin}/kept finished 42`);
  expect(model.counts[kept.key ?? ""], "requests of the step that took so long").toBe(1);
  await again.close();
});

test("a worker that was ended is started by its alarm, without any page, and goes on", { tag: "@launch" }, async ({ launch, model, extension }) => {
  const running = await launch(loading(extension));
  const panel = await openPage(running.context, extension, "panel.html");
  await ask(panel, `${model.origin}/m`);
  const lost = await planned(model);
  const empty = await running.newPage();
  await panel.close();
  await endWorkers(empty);
  await lost.gone;
  const answer = await model.next(alarmDeadline);
  expect(answer).toMatchObject({ path: "/m/answer", key: lost.key });
  answer.say("42");
  const after = await openPage(running.context, extension, "panel.html");
  await expect(item(after)).toHaveText(`${model.origin}/m finished 42`);
  await expect.poll(() => alarmsOf(after), "nothing is left to wake for").toEqual([]);
  expect(Object.values(model.counts)).toEqual([1, 2]);
});

test("a panel sees that nobody works, and wakes the worker", { tag: "@launch" }, async ({ launch, model, extension }) => {
  const running = await launch(loading(extension));
  const panel = await openPage(running.context, extension, "panel.html");
  await ask(panel, `${model.origin}/m`);
  const lost = await planned(model);
  await clearAlarms(panel); // so that only the panel can
  await endWorkers(panel);
  await lost.gone;
  const answer = await model.next();
  expect(answer).toMatchObject({ path: "/m/answer", key: lost.key });
  answer.say("42");
  await expect(item(panel)).toHaveText(`${model.origin}/m finished 42`);
});

test("a panel that stands by takes over when the worker is ended", { tag: "@launch" }, async ({ launch, model, make }) => {
  const standing = await make(
    variant(
      {
        "panel.ts": (code) =>
          `import { agent } from "./agent.js";
          import { keepAwake } from "@holdfast-dev/holdfast/extension";
          ${code.replace("setInterval(() => void look(), 2000);", "Object.assign(globalThis, { standBy: () => chat.process(keepAwake(agent)), runner: () => chat.runner() });")}`,
      },
    ),
  );
  const running = await launch(loading(standing));
  const panel = await openPage(running.context, standing, "panel.html");
  const runner = (): Promise<RunnerPlace> => panel.evaluate(() => (globalThis as unknown as { runner: () => Promise<RunnerPlace> }).runner());
  await ask(panel, `${model.origin}/m`);
  const lost = await planned(model);
  expect(await runner()).toBe("elsewhere");
  await panel.evaluate(() => void (globalThis as unknown as { standBy: () => unknown }).standBy());
  await endWorkers(panel);
  await lost.gone;
  const again = await model.next();
  expect(again).toMatchObject({ path: "/m/answer", key: lost.key });
  expect(await runner()).toBe("here");
  again.say("42");
  await expect(item(panel)).toHaveText(`${model.origin}/m finished 42`);
});

test("for a message that waits for a time the alarm fires then, for one that waits for an answer never", { tag: "@launch" }, async ({ launch, model, extension }) => {
  const running = await launch(loading(extension));
  const panel = await openPage(running.context, extension, "panel.html");
  await ask(panel, `${model.origin}/sleeps`);
  const plan = await model.next();
  expect(await alarmsOf(panel), "while it works").toEqual([['holdfast:["holdfast","agent"]', expect.any(Number), 0.5]]);
  const before = Date.now();
  plan.say("sleep");
  await expect(item(panel)).toHaveText(`${model.origin}/sleeps waiting `);
  const due = (): Promise<number> => alarmsOf(panel).then(([alarm]) => alarm?.[1] ?? 0);
  await expect.poll(due).toBeLessThan(before + 20_000);
  expect(await due()).toBeGreaterThan(before + 4900);
  await endWorkers(panel);
  const answer = await model.next(alarmDeadline);
  expect(answer.path).toBe("/sleeps/answer");
  expect(Date.now()).toBeGreaterThan(before + 4900);
  answer.say("42");
  await expect(item(panel)).toHaveText(`${model.origin}/sleeps finished 42`);

  await ask(panel, `${model.origin}/waits`);
  (await model.next()).say("ask");
  await expect(item(panel).last()).toHaveText(`${model.origin}/waits waiting `);
  await expect.poll(() => alarmsOf(panel)).toEqual([]);
});

test("one alarm is for all conversations that are processed, as long as one of them has something to do", { tag: "@launch" }, async ({ launch, make }) => {
  const extension = await make(variant({ "vite.config.ts": more("lab.html") }, { "lab.html": page("lab.ts"), "lab.ts": labScript }));
  const running = await launch(loading(extension));
  const place = await openPage(running.context, extension, "lab.html");
  await clearAlarms(place);
  const due = await place.evaluate(async () => {
    const { open, keepAwake } = lab;
    const holdfast = await open({ database: "many" });
    Object.assign(globalThis, { holdfast });
    holdfast.process(keepAwake(({ message, step }: Work) => step.sleep("rest", message.body === "long" ? 600_000 : 300_000)));
    for (const body of ["long", "short"]) await holdfast.create(body).send({ id: "m", body });
    let rows = (await holdfast.list({ order: "id" })).rows;
    while (rows.some(({ waiting }) => waiting === 0)) rows = (await holdfast.list({ order: "id" })).rows;
    return rows.map(({ due = 0 }) => due);
  });
  const all = 'holdfast:["many","all",""]';
  await expect.poll(() => alarmsOf(place)).toEqual([[all, due[1], 0.5]]);
  const cancel = (id: string): Promise<boolean> =>
    place.evaluate(async (id) => (await (globalThis as unknown as { holdfast: Package.Holdfast }).holdfast.recover(id)).cancel("m"), id);
  await cancel("short");
  await expect.poll(() => alarmsOf(place)).toEqual([[all, due[0], 0.5]]);
  await cancel("long");
  await expect.poll(() => alarmsOf(place)).toEqual([]);
});

test("no two share an alarm, whatever their names are", { tag: "@launch" }, async ({ launch, make }) => {
  const extension = await make(variant({ "vite.config.ts": more("lab.html") }, { "lab.html": page("lab.ts"), "lab.ts": labScript }));
  const running = await launch(loading(extension));
  const place = await openPage(running.context, extension, "lab.html");
  await clearAlarms(place);
  await place.evaluate(async () => {
    const { open, keepAwake } = lab;
    for (const database of ["a", "b", "c"]) {
      const holdfast = await open({ database });
      const chat = holdfast.create("all conversations");
      const handler = keepAwake(({ step }: Work) => step.sleep("rest", 600_000));
      if (database === "c") holdfast.process(handler);
      else chat.process(handler);
      await chat.send({ id: "m", body: 1 });
      Object.assign(globalThis, { chat });
    }
  });
  const names = async (): Promise<string[]> => (await alarmsOf(place)).map(([name]) => name).sort();
  const all = ['holdfast:["a","all conversations"]', 'holdfast:["b","all conversations"]', 'holdfast:["c","all",""]'];
  await expect.poll(names).toEqual(all);
  await place.evaluate(() => (globalThis as unknown as { chat: Package.Conversation }).chat.cancel("m"));
  await expect.poll(names, "the others keep theirs").toEqual(all.slice(0, 2));
});

test("where there can be no alarm keepAwake says what to do", { tag: "@launch" }, async ({ launch, server, make }) => {
  const poor = await make(
    variant(
      {
        "vite.config.ts": more("lab.html"),
        "public/manifest.json": (code) =>
          code.replace(`"alarms", `, "").replace(`"action"`, `"content_scripts": [{ "matches": ["http://127.0.0.1/*"], "js": ["content.js"] }],
            "web_accessible_resources": [{ "matches": ["http://127.0.0.1/*"], "resources": ["*"] }], "action"`),
      },
      {
        "lab.html": page("lab.ts"),
        "lab.ts": labScript,
        "public/content.js": `import(chrome.runtime.getURL("lab.js")).then(async () => {
          const store = await lab.open();
          await store.recover("chat").then((chat) => chat.send({ body: "from the content script" }));
          let said;
          try { lab.keepAwake(() => undefined); } catch ({ code, message }) { said = code + " " + message; }
          document.documentElement.dataset.said = said;
        });`,
      },
    ),
  );
  const running = await launch(loading(poor));
  const errorOf = (place: Page): Promise<string> =>
    place.evaluate(() => {
      try {
        lab.keepAwake(() => undefined);
        return "";
      } catch (error) {
        const { name, code, message } = error as Package.HoldfastError;
        return `${name} ${code} ${message}`;
      }
    });
  expect(await errorOf(await openPage(running.context, poor, "lab.html"))).toMatch(/^HoldfastError invalid_argument .*add "alarms" to the "permissions" in manifest.json/);

  const visited = await running.newPage();
  await visited.goto(`${server.origin}/unbundled`);
  await expect(visited.locator("html")).toHaveAttribute("data-said", /^invalid_argument .*in a content script do not process at all/);
  const databases = await visited.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name));
  expect(databases, "what a content script stores is the site's").toEqual(["holdfast"]);
  await visited.evaluate(async () => {
    const module = "/dist/extension.js";
    Object.assign(globalThis, { lab: await import(module) });
  });
  expect(await errorOf(visited)).toMatch(/^HoldfastError invalid_argument .*there is no chrome.runtime here/);
});

test("a function that calls what keepAwake has made keeps nothing awake, and is told so", { tag: "@launch" }, async ({ launch, make }) => {
  const extension = await make(variant({ "vite.config.ts": more("lab.html") }, { "lab.html": page("lab.ts"), "lab.ts": labScript }));
  const running = await launch(loading(extension));
  const place = await openPage(running.context, extension, "lab.html");
  const errors = await place.evaluate(async () => {
    const { open, keepAwake } = lab;
    const store = await open({ storage: "memory" });
    const chat = await store.recover("chat");
    const said: string[] = [];
    const wrapped: (work: Work) => unknown = keepAwake(() => undefined);
    const failed = new Promise<void>((resolve) => {
      chat.process((work) => wrapped(work), { onError: (error) => resolve(void said.push(String(error))) });
    });
    await chat.send({ body: 1 });
    await failed;
    for (const handler of [undefined, {}]) {
      try {
        keepAwake(handler as unknown as () => void);
      } catch (error) {
        said.push((error as Error).message);
      }
    }
    return said;
  });
  expect(errors).toEqual([
    "HoldfastError: holdfast: keepAwake: invalid_argument: give process what keepAwake returns, not a function that calls it",
    "holdfast: keepAwake: invalid_argument: the handler must be a function, not a value of type undefined",
    "holdfast: keepAwake: invalid_argument: the handler must be a function, not a value of type object",
  ]);
});

test("an offscreen document goes on where the worker that has made it was ended", { tag: "@launch" }, async ({ launch, model, make }) => {
  const files = variant(
    { "public/manifest.json": (code) => code.replace(`"alarms"`, `"offscreen"`), "vite.config.ts": more("offscreen.html") },
    {
      "offscreen.html": page("offscreen.ts"),
      "offscreen.ts": `
        import { open } from "@holdfast-dev/holdfast";
        import { agent } from "./agent.js";
        void open().then(async (holdfast) => (await holdfast.recover("agent")).process(agent));`,
    },
  );
  files.set("background.ts", files.get("offscreen-background.ts") ?? "");
  const offscreen = await make(files);
  const running = await launch(loading(offscreen));
  const panel = await openPage(running.context, offscreen, "panel.html");
  await ask(panel, `${model.origin}/m`);
  const answer = await planned(model);
  await endWorkers(panel);
  answer.say("42");
  await expect(item(panel)).toHaveText(`${model.origin}/m finished 42`);
  expect(Object.values(model.counts)).toEqual([1, 1]);
});

test("the code of the document has no type errors", ({ extension: { source } }) => {
  const scripts = [...written.keys()].filter((name) => name.endsWith(".ts") && name !== "vite.config.ts");
  expect(typeErrors(source, ["chrome.d.ts", ...scripts])).toBe("");
});
