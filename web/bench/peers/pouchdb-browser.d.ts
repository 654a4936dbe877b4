// What is used of PouchDB, which has no types of its own.
declare module "pouchdb-browser" {
  // oxlint-disable-next-line import/no-default-export -- that is how it exports itself
  export default class PouchDB<T> {
    constructor(name: string, options: { readonly auto_compaction: boolean; readonly revs_limit: number });
    put(document: T & { readonly _id: string }): Promise<unknown>;
    bulkDocs(documents: readonly (T & { readonly _id: string })[]): Promise<readonly { readonly error?: boolean }[]>;
    allDocs(options: { readonly include_docs: true; readonly startkey: string; readonly endkey: string }): Promise<{ readonly rows: readonly { readonly doc: T }[] }>;
    close(): Promise<void>;
  }
}
