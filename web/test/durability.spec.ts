// How hard a commit is pushed to the disk, and what the browser promises to keep.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Durability } from "@holdfast-dev/holdfast";
import { append, attach, expectedSeq, log, type Tab } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

const durabilities: readonly Durability[] = ["strict", "default"];

test("transactions that write ask for the durability that was chosen, and never for `relaxed`", async ({ page, server }) => {
  await page.goto(server.origin);
  const asked = await page.evaluateHandle(() => {
    const list: string[] = [];
    const begin = Reflect.get(IDBDatabase.prototype, "transaction") as (...args: unknown[]) => IDBTransaction;
    IDBDatabase.prototype.transaction = function (...args: unknown[]): IDBTransaction {
      const transaction = begin.apply(this, args);
      list.push(`${transaction.mode} ${transaction.durability}`);
      return transaction;
    };
    return list;
  });
  const written = async (): Promise<string[]> => {
    const all = await asked.evaluate((list) => list.splice(0));
    expect(all.filter((entry) => entry.includes("relaxed"))).toEqual([]);
    return all.filter((entry) => entry.startsWith("readwrite "));
  };
  for (const [database, options, durability] of [
    ["left out", {}, "strict"],
    ["strict", { durability: "strict" }, "strict"],
    ["default", { durability: "default" }, "default"],
  ] as const) {
    const tab = await attach(page, "chat", { database, ...options });
    expect(await append(tab, "a", 0)).toEqual({ sequence: 0 });
    await tab.evaluate(({ holdfast }) => holdfast.delete("chat"));
    expect(await written(), database).toEqual(Array.from({ length: 2 }, () => `readwrite ${durability}`));
    expect((await tab.evaluate(({ holdfast }) => holdfast.health())).durability).toBe(durability);
  }
});

/** Files of IndexedDB that the browser has told the kernel to sync, by a trace of `strace -y`. */
function syncs(trace: string): string[] {
  const calls = readFileSync(trace, "latin1").matchAll(/\bf(?:data)?sync\(\d+<([^>]*)>/g);
  return [...calls].map(([, file]) => file ?? "").filter((file) => file.includes("/IndexedDB/"));
}

test("strict syncs the disk for each acknowledgement, default does not", { tag: ["@chromium", "@launch", "@long"] }, async ({ backend, launch, profile, server }) => {
  test.skip(process.platform !== "linux", "system calls are traced on Linux only");
  const tools = fileURLToPath(new URL("../../.tools", import.meta.url));
  const strace = execFileSync(join(tools, "strace.sh"), { encoding: "utf8" }).trim();
  const trace = join(profile, "trace");
  const running = await launch({
    under: [strace, "-f", "--seccomp-bpf", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-o", trace],
    args: ["--no-sandbox"], // it allows no tracing
  });
  const page = await running.newPage();
  await page.goto(server.origin);
  const count = Number(process.env["SYNC_APPENDS"] ?? 20);
  const seen: Record<string, number> = {};
  for (const durability of durabilities) {
    const tab = await attach(page, "chat", { database: durability, durability });
    await append(tab, "a", 0); // a new database may be synced anyway
    const before = syncs(trace).length;
    for (let step = 1; step <= count; step++) await append(tab, "a", step);
    seen[durability] = syncs(trace).length - before;
  }
  await running.kill();
  console.log(`result: syncs: ${count} appends, syncs ${JSON.stringify(seen)}; Chromium ${running.browser.version()}, ${backend}`);
  expect(seen["strict"]).toBeGreaterThanOrEqual(count);
  expect(seen["default"]).toBeLessThan(count / 4);
});

const health = async (tab: Tab): Promise<{ persisted: boolean | undefined; usage: number; quota: number }> =>
  await tab.evaluate(async ({ holdfast }) => {
    const { persisted, usage = NaN, quota = NaN } = await holdfast.health();
    return { persisted, usage, quota };
  });

test("persist() asks the browser, and health() tells what it answered and how much is in use", { tag: ["@chromium", "@launch"] }, async ({ launch, server }) => {
  const running = await launch(); // the shared one keeps data for a site that is used much, as it does for a user
  const page = await running.newPage();
  await page.goto(server.origin);
  const tab = await attach(page, "chat");
  const before = await health(tab);
  expect(before.persisted).toBe(false);
  expect(before.quota).toBeGreaterThan(before.usage);
  expect(await tab.evaluate(({ holdfast }) => holdfast.persist()), "nobody has used this origin").toBe(false);

  const session = await running.browser.newBrowserCDPSession();
  await session.send("Browser.grantPermissions", { origin: server.origin, permissions: ["durableStorage"] });
  expect(await tab.evaluate(({ holdfast }) => holdfast.persist())).toBe(true);
  const mebibyte = 2 ** 20;
  await tab.evaluate(async ({ conversation }, length) => {
    const body = new Uint8Array(length);
    for (let i = 0; i < length; i += 65_536) crypto.getRandomValues(body.subarray(i, i + 65_536));
    await conversation.receiveMessage({ id: "big", body });
  }, mebibyte);
  await expect.poll(async () => (await health(tab)).usage).toBeGreaterThan(before.usage + mebibyte / 2); // it is an estimate
  expect((await health(tab)).persisted).toBe(true);
});

test("persist() waits for an answer no longer than other calls", async ({ page, server }) => {
  await page.goto(server.origin);
  await page.evaluate(() => {
    // As Firefox does while its user is asked, and as WebKitGTK cannot.
    if ("storage" in navigator) StorageManager.prototype.persist = () => new Promise(() => undefined);
  });
  const tab = await attach(page, "chat", { timeout: 2000 });
  expect(await tab.evaluate(({ holdfast }) => holdfast.persist())).toBe(false);
});

test("a private window works, says that nothing is kept, and keeps nothing", async ({ browser, server }) => {
  for (const visit of ["first", "second"]) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(server.origin);
    const tab = await attach(page, "private");
    expect(await expectedSeq(tab), `${visit} visit`).toBe(0);
    expect((await health(tab)).persisted).not.toBe(true); // WebKitGTK cannot tell
    expect(await append(tab, "a", 0)).toEqual({ sequence: 0 });
    await page.reload();
    const again = await attach(page, "private");
    expect((await log(again)).length).toBe(1);
    expect(await append(again, "a", 1)).toEqual({ sequence: 1 });
    await context.close();
  }
});
