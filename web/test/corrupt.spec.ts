// A browser whose files were damaged gives what was stored, or says that it cannot; see harness/damage.ts.
import { existsSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { errorCodes, type Verification } from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import type { RunningBrowser } from "./harness/browser.js";
import { damage } from "./harness/damage.js";
import { random } from "./harness/random.js";
import { mend } from "./harness/leveldb.js";
import { attach } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

/** Of both backends together. */
const trials = Number(process.env["CORRUPT_TRIALS"] ?? 4);
/** `make corrupt` draws another one. */
const seed = Number(process.env["CORRUPT_SEED"] ?? 7000);
const deadline = 120_000;

/** An error's code, or what else was thrown. */
type Failure = `error ${string}`;

interface Log {
  /** The sequence that the next event gets. */
  readonly head: number;
  /** A digest of the first event, of the first two, and so on. */
  readonly prefixes: readonly string[];
  /** The same of an earlier time, if what was there then is deleted now. */
  readonly earlier: readonly string[];
  /** A digest of the state that they amount to. */
  readonly state: string;
}

interface Found {
  readonly recovered: Failure | { readonly head: number; readonly state: string };
  /** How many events there are, and their digest. */
  readonly log: Failure | { readonly events: number; readonly digest: string };
  readonly verified: Failure | Verification;
  readonly appended: Failure | number;
}

interface Survey {
  /** What opening has failed with; it is then opened once more. */
  readonly opened: Failure | undefined;
  readonly listed: Failure | readonly string[];
  readonly conversations: Readonly<Record<string, Found>>;
}

declare global {
  var survey: {
    readonly attempt: <T>(call: () => Promise<T>) => Promise<T | Failure>;
    /** Digests of all beginnings of a list. */
    readonly digests: (items: readonly unknown[]) => string[];
  };
}

function tell(): void {
  const digest = (text: string, since: string): string => {
    let [a, b] = since.split(".").map(Number) as [number, number]; // FNV-1a, twice
    for (let i = 0; i < text.length; i++) {
      a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
      b = Math.imul(b + text.charCodeAt(i), 0x01000193) ^ (b >>> 15);
    }
    return `${a}.${b}`;
  };
  globalThis.survey = {
    async attempt(call) {
      try {
        return await call();
      } catch (error) {
        const { HoldfastError } = await import("@holdfast-dev/holdfast");
        return `error ${error instanceof HoldfastError ? error.code : String(error)}`;
      }
    },
    digests(items) {
      const all: string[] = [];
      for (const item of items) all.push(digest(JSON.stringify(item), all.at(-1) ?? "1.2"));
      return all;
    },
  };
}

/** Fills conversations of all kinds, in two lives of the browser, and returns what is in them. */
async function fill(launch: () => Promise<RunningBrowser>, origin: string): Promise<Record<string, Log>> {
  const visit = async (): Promise<[RunningBrowser, Page]> => {
    const running = await launch();
    const page = await running.newPage();
    await page.addInitScript(tell);
    await page.goto(origin);
    return [running, page];
  };
  const [first, page] = await visit();
  const earlier = await page.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const text = (size: number, from: number): string => Array.from({ length: size }, (_, i) => String.fromCharCode(97 + ((i * 7 + from) % 26))).join("");
    const awaited = holdfast.create("awaited");
    for (let i = 0; i < 50; i++) await awaited.recordStepCompleted("m", i, { text: text(i * 60, i) });
    const bulk = holdfast.create("bulk");
    await Promise.all(Array.from({ length: 1500 }, (_, i) => bulk.recordStepCompleted(`m${i % 30}`, i, text(40, i))));
    const large = holdfast.create("large");
    for (let i = 0; i < 30; i++) await large.recordMessageReceived({ id: `m${i}`, body: text(150_000, i) });
    const deleted = holdfast.create("deleted");
    for (let i = 0; i < 10; i++) await deleted.recordStepCompleted("m", i, text(900, i));
    const earlier = globalThis.survey.digests(await deleted.events());
    await holdfast.delete("deleted");
    await deleted.refresh();
    await deleted.recordMessageReceived({ id: "after", body: text(900, 1) });
    await holdfast.create("single").recordMessageReceived({ id: "m", body: "alone" });
    for (let i = 0; i < 20; i++) await holdfast.create(`other ${i}`).recordMessageReceived({ id: "m", body: text(500, i) });
    // A snapshot is saved when it has been quiet for a while.
    const database = await new Promise<IDBDatabase>((resolve) => {
      const opening = indexedDB.open("holdfast");
      opening.onsuccess = () => resolve(opening.result);
    });
    await new Promise<void>((resolve) => {
      const look = (): void => {
        const count = database.transaction("snapshots").objectStore("snapshots").count();
        count.onsuccess = () => (count.result > 0 ? resolve() : look());
      };
      look();
    });
    database.close();
    await holdfast.close();
    return earlier;
  });
  await first.close();

  const [second, again] = await visit();
  const logs = await again.evaluate(async (earlier) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    for (const id of ["awaited", "bulk", "large", "deleted"]) {
      const conversation = await holdfast.recover(id);
      for (let i = 0; i < 20; i++) await conversation.recordStepCompleted("again", i, `${id} ${i} `.repeat(10 * i));
    }
    const logs: Record<string, Log> = {};
    for (const { id } of await holdfast.conversations()) {
      const conversation = await holdfast.recover(id);
      logs[id] = {
        head: conversation.expectedSeq,
        prefixes: globalThis.survey.digests(await conversation.events({ limit: 1_000_000 })),
        earlier: id === "deleted" ? earlier : [],
        state: globalThis.survey.digests([conversation.state])[0] ?? "",
      };
    }
    return logs;
  }, earlier);
  await second.kill(); // so that SQLite's log is there too
  return logs;
}

/** Does with each conversation whatever an application might. */
function look(page: Page, ids: readonly string[]): Promise<Survey> {
  return page.evaluate(async ([ids, timeout]): Promise<Survey> => {
    const { open } = await import("@holdfast-dev/holdfast");
    const { attempt, digests } = globalThis.survey;
    let opened: Failure | undefined;
    let holdfast = await attempt(() => open({ timeout }));
    if (typeof holdfast === "string") {
      opened = holdfast;
      holdfast = await attempt(() => open({ timeout }));
    }
    if (typeof holdfast === "string") return { opened: holdfast, listed: holdfast, conversations: {} };
    const store = holdfast;
    const conversations: Record<string, Found> = {};
    for (const id of ids) {
      const recovered = await attempt(() => store.recover(id));
      const log = await attempt(async () => digests(await store.create(id).events({ limit: 1_000_000 })));
      const verified = await attempt(() => store.verify(id));
      conversations[id] = {
        recovered: typeof recovered === "string" ? recovered : { head: recovered.expectedSeq, state: digests([recovered.state])[0] ?? "" },
        log: typeof log === "string" ? log : { events: log.length, digest: log.at(-1) ?? "" },
        verified,
        appended: typeof recovered === "string" ? recovered : await attempt(() => recovered.recordProcessingStarted("appended")),
      };
    }
    return { opened, listed: await attempt(async () => (await store.conversations()).map(({ id }) => id)), conversations };
  }, [ids, 10_000] as const);
}

const isFailure = (found: unknown): found is Failure => typeof found === "string";

/** What has become of a conversation, in a word. Throws what must never be. */
function judge(log: Log, found: Found, reset: boolean): string {
  const { recovered, log: read, verified, appended } = found;
  const wrong = (why: string): Error => new Error(`${why}: ${JSON.stringify(found)}, and ${log.prefixes.length} events before ${log.head}`);
  for (const failure of [recovered, read, verified, appended]) {
    if (isFailure(failure) && !errorCodes.some((code) => failure === `error ${code}`)) throw wrong("an untyped error");
  }
  if (!isFailure(recovered)) {
    if (recovered.head === log.head && recovered.state !== log.state) throw wrong("another state");
    if (recovered.head > log.head) throw wrong("more than there was");
    if (typeof appended === "number" && appended !== recovered.head) throw wrong("appended somewhere else");
  }
  if (isFailure(read)) {
    // What Chromium with SQLite could not read a moment ago it may have dropped meanwhile.
    const told = ["error corrupt", "error gap", "error unsupported_version"].includes(read);
    if (told && !isFailure(verified) && verified.damage.length === 0) throw wrong("verify finds nothing");
    return isFailure(recovered) && recovered !== read ? `${read}, and recover: ${recovered}` : read;
  }
  const { events, digest } = read;
  if (events > 0 && digest !== log.prefixes[events - 1] && digest !== log.earlier[events - 1]) throw wrong("another log");
  if (isFailure(verified) || verified.damage.some(({ code }) => code !== "gap")) {
    // Reads do not look at keys. The last one says where the next event goes: refreshing would not help against a conflict.
    if (appended === "error sequence_conflict") throw wrong("a conflict for ever");
    return "a damaged key, and verify knows";
  }
  if (digest === log.prefixes.at(-1)) {
    if (recovered === "error gap" || recovered === "error corrupt" || verified.damage.length > 0 || verified.head !== log.head) throw wrong("damage is found where there is none");
    return isFailure(recovered) ? `correct, but recover: ${recovered}` : "correct";
  }
  if (reset) return "store_reset";
  // A browser takes a damaged end of its own log for a commit that never came about, and Chromium with SQLite drops rows that it cannot
  // read. If those were the last ones of a conversation, nothing in the database tells that there were more, but perhaps a snapshot.
  if (recovered === "error gap") {
    if (verified.damage.length === 0) throw wrong("verify does not find what recover has told of");
    return recovered;
  }
  return verified.damage.length > 0 ? "shorter, and only verify knows" : "shorter";
}

/** What a profile must have for its IndexedDB to be found. The rest is caches. */
const essential = ["Local State", "Default/Preferences", "Default/IndexedDB", "Default/File System", "Default/Local Storage", "Default/WebStorage"];

async function copyProfile(from: string, to: string): Promise<void> {
  for (const part of essential) {
    if (existsSync(join(from, part))) await cp(join(from, part), join(to, part), { recursive: true });
  }
}

test("a damaged database gives correct data or a typed error, and verify tells what is damaged", { tag: ["@launch", "@long"] }, async ({ backend, launch, profile, server }) => {
  const count = Math.ceil(trials / 2);
  test.setTimeout(120_000 + count * 60_000);
  const logs = await fill(launch, server.origin);
  mend(profile);
  // As a kill has left it, where SQLite has its log, and as a browser leaves it that ends in an orderly way.
  const killed = `${profile} killed`;
  await copyProfile(profile, killed);
  const last = await launch();
  const page = await last.newPage();
  await page.goto(server.origin);
  await attach(page, "single");
  await last.close();
  const ids = Object.keys(logs);
  // Chromium itself does not stand everything: then its user starts it again.
  const visit = async (userDataDir: string): Promise<Survey | "the browser crashed" | undefined> => {
    const running = await launch({ userDataDir });
    try {
      const page = await running.newPage();
      await page.addInitScript(tell);
      await page.goto(server.origin);
      return await Promise.race([look(page, ids), after(deadline, undefined, { ref: false })]);
    } catch (error) {
      if (running.browser.isConnected()) throw error;
      return "the browser crashed";
    } finally {
      await running.kill();
    }
  };
  const outcomes: Record<string, number> = {};
  const faults: string[] = [];
  for (let trial = 0; trial < count; trial++) {
    const trialSeed = seed + trial;
    const copy = await mkdtemp(join(tmpdir(), "holdfast-"));
    await copyProfile(trial % 2 === 0 ? profile : killed, copy);
    const what = `${damage(copy, random(trialSeed))}, ${trial % 2 === 0 ? "closed" : "killed"}`;
    let survey = await visit(copy);
    let crashes = 0;
    while (survey === "the browser crashed" && ++crashes < 3) survey = await visit(copy);
    await rm(copy, { recursive: true, force: true, maxRetries: 5 });
    const name = `seed ${trialSeed}, ${what}`;
    if (survey === undefined) {
      faults.push(`${name}: no answer in ${deadline} ms`);
      continue;
    }
    const found = new Set<string>(crashes > 0 ? ["the browser crashed"] : []);
    if (survey === "the browser crashed") survey = { opened: undefined, listed: [], conversations: {} };
    for (const [id, log] of Object.entries(logs)) {
      const conversation = survey.conversations[id];
      try {
        if (conversation === undefined) found.add(survey.opened ?? "not one could be read");
        else found.add(judge(log, conversation, survey.opened === "error store_reset"));
      } catch (error) {
        faults.push(`${name}, ${id}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (survey.opened !== undefined) found.add(`open: ${survey.opened}`);
    if (isFailure(survey.listed)) found.add(`list: ${survey.listed}`);
    const outcome = [...found].sort().join(" + ");
    console.log(`${name}: ${outcome}`);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  await rm(killed, { recursive: true });
  const results = Object.entries(outcomes).map(([outcome, times]) => `${times} ${outcome}`);
  console.log(`result: damage: ${count} trials of seeds from the first on, ${results.join("; ")}; ${backend}, seed ${seed}`);
  expect(faults).toEqual([]);
});
