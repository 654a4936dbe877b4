// The harness itself: what it says about crashes, backends and servers must be true before any test relies on it.
import { backendOnDisk } from "./harness/browser.js";
import { strictPolicy } from "./harness/server.js";
import { expect, test } from "./harness/test.js";

test("what was committed outlives SIGKILL, in the backend that was asked for", { tag: "@launch" }, async ({ backend, launch, profile, server }) => {
  const first = await launch();
  const writer = await first.newPage();
  await writer.goto(server.origin);
  await writer.evaluate(
    () =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open("plain", 1);
        opening.onerror = () => reject(opening.error);
        opening.onupgradeneeded = () => opening.result.createObjectStore("store");
        opening.onsuccess = () => {
          const tx = opening.result.transaction("store", "readwrite", { durability: "strict" });
          tx.objectStore("store").put("kept", "key");
          tx.oncomplete = () => resolve();
          tx.onabort = () => reject(tx.error);
        };
      }),
  );
  await first.kill();
  expect(first.browser.isConnected()).toBe(false);
  expect(backendOnDisk(profile)).toBe(backend);

  const second = await launch();
  const reader = await second.newPage();
  await reader.goto(server.origin);
  const value = await reader.evaluate(
    () =>
      new Promise<unknown>((resolve, reject) => {
        const opening = indexedDB.open("plain", 1);
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const get = opening.result.transaction("store").objectStore("store").get("key");
          get.onsuccess = () => resolve(get.result);
          get.onerror = () => reject(get.error);
        };
      }),
  );
  expect(value).toBe("kept");
  await second.close();
});

test("the package can be imported by name, and bundled under a strict policy", async ({ page, server }) => {
  server.answer("/plain", { headers: strictPolicy });
  await page.goto(`${server.origin}/unbundled`);
  const unbundled = await page.evaluate(async () => Object.keys(await import("@holdfast-dev/holdfast")));
  await page.goto(`${server.origin}/plain`);
  const bundled = await page.evaluate(async (path) => Object.keys((await import(path)) as object), "/bundle/package.js");
  expect(unbundled).toContain("open");
  expect(bundled).toEqual([...unbundled, "patience", "streamed"].sort()); // see pages/package.ts
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.ran = true";
    document.head.append(script);
    return "ran" in globalThis;
  });
  expect(ran, "the policy holds").toBe(false);
});

test("a server can be wrong, and be cut off", async ({ page, server }) => {
  const status = async (): Promise<string> =>
    await page.evaluate(async () => {
      const response = await fetch("/dist/holdfast.wasm");
      await response.arrayBuffer();
      return `${response.status} ${response.headers.get("content-type")}`;
    });
  await page.goto(server.origin);
  expect(await status()).toBe("200 application/wasm");
  server.answer("/dist/holdfast.wasm", { headers: { "content-type": "text/plain" } });
  expect(await status()).toBe("200 text/plain");
  server.answer("/dist/holdfast.wasm", { status: 404 });
  expect(await status()).toMatch(/^404/);
  server.answer("/dist/holdfast.wasm");
  server.cut();
  await expect(status()).rejects.toThrow("Failed to fetch");
  server.restore();
  expect(await status()).toBe("200 application/wasm");
});
