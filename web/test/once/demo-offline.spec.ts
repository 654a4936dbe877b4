// The demo's service worker, on servers of all kinds: after one visit the page starts without them, and after a deployment, too.
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import { build, preview } from "vite";
import { test, visit } from "../harness/demo.js";
import { Server } from "../harness/server.js";
import { expect } from "../harness/test.js";

const root = fileURLToPath(new URL("../../demo", import.meta.url));

const text = (page: Page) => page.getByLabel("Message", { exact: true });

/** Waits until the worker of this page has all its files. */
const kept = (page: Page): Promise<unknown> => page.evaluate(() => navigator.serviceWorker.ready.then(({ scope }) => scope));

/** Visits a folder whose build may be the second one. */
async function open(page: Page, address: string): Promise<string | undefined> {
  await page.goto(address);
  await expect(text(page)).toBeEnabled();
  return page.evaluate(() => document.documentElement.dataset["build"]);
}

for (const vary of ["Origin, Accept, Sec-Fetch-Mode", "*"]) {
  test(`it starts without a server whose answers vary by ${vary}`, async ({ page, server }) => {
    server.headers = { vary };
    await visit(page, server);
    await kept(page);
    server.cut();
    await page.goto("about:blank");
    await visit(page, server);
    server.restore();
  });
}

test("it starts when `make demo` has ended", async ({ page, site }) => {
  const server = await preview({ root, logLevel: "error", build: { outDir: site }, preview: { host: "127.0.0.1", port: 0 } });
  const address = server.resolvedUrls?.local[0] ?? "";
  await open(page, address);
  await kept(page);
  await server.close();
  await page.goto("about:blank");
  await open(page, address);
});

test("it starts behind a server that redirects to clean addresses, and its Crash ends where it should", async ({ page, server, site }) => {
  for (const [from, location] of [["crashed.html", "crashed"], ["index.html", ""]]) server.answer(`/demo/${from}`, { status: 308, headers: { location: `/demo/${location}` } });
  server.answer("/demo/crashed", { body: readFileSync(join(site, "crashed.html")) });
  await visit(page, server);
  await kept(page);
  for (const online of [true, false]) {
    if (!online) server.cut();
    await open(page, `${server.origin}/demo/index.html`);
    await page.goto(`${server.origin}/demo/crashed.html`);
    await page.getByRole("link", { name: "Reload" }).click();
    await expect(text(page)).toBeEnabled();
  }
  server.restore();
});

test.describe("two builds", () => {
  let second: string;
  test.beforeAll(async () => {
    second = mkdtempSync(join(tmpdir(), "holdfast-demo-"));
    const plugin = { name: "second", enforce: "pre" as const, transform: (code: string, id: string) => (id.endsWith("/demo/main.ts") ? `document.documentElement.dataset["build"] = "second";\n${code}` : undefined) };
    await build({ root, logLevel: "warn", plugins: [plugin], build: { outDir: second } });
  });
  test.afterAll(() => rmSync(second, { recursive: true }));

  test("on one origin each keeps its files; a deployment leaves the one that is there until its last page is closed", async ({ page, site }) => {
    const deployed = mkdtempSync(join(tmpdir(), "holdfast-demo-"));
    const deploy = (from: string): void => {
      rmSync(deployed, { recursive: true });
      cpSync(from, deployed, { recursive: true });
    };
    deploy(site);
    const server = await Server.start({ "/demo/": deployed, "/demo/other/": second });
    const [first, other] = [`${server.origin}/demo/`, `${server.origin}/demo/other/`];
    for (const [address, name] of [[first, undefined], [other, "second"]] as const) {
      expect(await open(page, address)).toBe(name);
      await kept(page);
    }
    server.cut();
    for (const [address, name] of [[first, undefined], [other, "second"]] as const) expect(await open(page, address), "without a network").toBe(name);
    server.restore();

    deploy(second); // the files of the first are gone
    expect(await open(page, first), "a visit after the deployment").toBe(undefined);
    const waits = (): Promise<boolean> => page.evaluate(async (scope) => (await navigator.serviceWorker.getRegistration(scope))?.waiting !== null, first);
    await expect.poll(waits).toBe(true);
    await page.goto(server.origin); // which is in no scope
    await expect.poll(waits).toBe(false);
    server.cut();
    expect(await open(page, first), "the next visit").toBe("second");
    expect(await open(page, other)).toBe("second");
    server.restore();
    expect(await page.evaluate(async () => (await caches.keys()).length)).toBe(2);
    await server.close();
    rmSync(deployed, { recursive: true });
  });

  /** What becomes of the worker that the next page installs. */
  async function installing(page: Page): Promise<() => Promise<string>> {
    await page.addInitScript(() => {
      if (!("serviceWorker" in navigator)) return; // before there is a page
      const { serviceWorker } = navigator;
      const register = serviceWorker.register.bind(serviceWorker);
      serviceWorker.register = async (...given) => {
        const registration = await register(...given);
        const { installing } = registration;
        installing?.addEventListener("statechange", () => Object.assign(globalThis, { installed: installing.state }));
        return registration;
      };
    });
    return async () => (await page.waitForFunction(() => (globalThis as { installed?: string }).installed)).jsonValue() as Promise<string>;
  }

  test("half a build is not kept", async ({ page, server }) => {
    server.answer("/demo/index.html", { body: readFileSync(join(second, "index.html")) });
    const installed = await installing(page);
    await visit(page, server);
    expect(await installed()).toBe("redundant");
  });

  for (const way of ["in place of the demo", "by a redirect"]) {
    test(`a page to log in is not kept: ${way}`, async ({ page, server }) => {
      const login = { body: "<!doctype html><title>Log in</title>" };
      server.answer("/login", login);
      server.answer("/demo/", way === "by a redirect" ? { status: 302, headers: { location: "/login" } } : login);
      const installed = await installing(page);
      await open(page, `${server.origin}/demo/index.html`);
      expect(await installed()).toBe("redundant");
    });
  }
});
