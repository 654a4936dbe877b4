import type { Page } from "@playwright/test";

/** What Holdfast remembers of a database outside of it: the heads of conversations, by id. See idbstore/heads.go. */
export function remembered(page: Page, database = "holdfast"): Promise<Record<string, number>> {
  return page.evaluate(async (name) => {
    const directory = await navigator.storage.getDirectory();
    const file = await directory.getFileHandle(name).catch(() => undefined);
    const [, , ...parts] = file === undefined ? [] : (await (await file.getFile()).text()).split("\0");
    const heads: Record<string, number> = {};
    for (let i = 0; i + 2 < parts.length; i += 3) heads[parts[i + 2] ?? ""] = Number(parts[i]);
    return heads;
  }, encodeURIComponent(`holdfast:${database}`));
}
