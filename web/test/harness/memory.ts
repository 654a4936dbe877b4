import type { Page } from "@playwright/test";

/** What Holdfast remembers of a database outside of it: the heads of conversations, by id. See idbstore/memory.go. */
export function remembered(page: Page, database = "holdfast"): Promise<Record<string, number>> {
  return page.evaluate(async (name) => {
    // WebKitGTK, as it is driven here, has no files.
    const directory = "storage" in navigator ? await navigator.storage.getDirectory() : undefined;
    const read = async (): Promise<string | undefined> => (await (await directory?.getFileHandle(name))?.getFile())?.text();
    // There may be no file yet, or a newer one in place of the one that was found.
    const text = (await read().catch(() => undefined)) ?? localStorage.getItem(name) ?? "";
    const [, , ...parts] = text.split("\0");
    const heads: Record<string, number> = {};
    for (let i = 0; i + 2 < parts.length; i += 3) heads[parts[i + 2] ?? ""] = Number(parts[i]);
    return heads;
  }, encodeURIComponent(`holdfast:${database}`));
}
