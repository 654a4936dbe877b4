import type { Instance } from "./bridge/instance.js";

/** So many open stores of one database in one page look as if hot reloading left them behind. */
const many = 4;

/** The stores that were opened, by database. */
const stores = new Map<string, readonly WeakRef<Instance>[]>();

// Bundlers put a string in place of `process.env.NODE_ENV`.
declare const process: { readonly env: { readonly NODE_ENV?: string } };

function inDevelopment(): boolean {
  try {
    return process.env.NODE_ENV !== "production";
  } catch {
    return false; // without a bundler nothing is reloaded hot
  }
}

/** Warns in development when a page has many open stores of a database: each works on, with the code of then. */
export function noticeLeftOver(database: string, instance: Instance): void {
  const isOpen = (store: Instance | undefined): boolean => store !== undefined && store.over === undefined;
  const open = [...(stores.get(database) ?? []).filter((one) => isOpen(one.deref())), new WeakRef(instance)];
  stores.set(database, open);
  if (open.length !== many || !inDevelopment()) return;
  console.warn(
    `holdfast: ${many} stores of the database ${JSON.stringify(database)} are open in this page, and each works on with the code that opened it. ` +
      "Hot reloading runs that code again: close the store then, as in import.meta.hot.dispose(() => holdfast.close()), or open it once with useHoldfast.",
  );
}
