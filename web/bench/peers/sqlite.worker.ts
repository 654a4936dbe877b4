// The worker of the peer SQLite: one table, one transaction for each append.
import sqlite3InitModule, { type Database, type PreparedStatement, type SAHPoolUtil } from "@sqlite.org/sqlite-wasm";

export type Question =
  | { readonly do: "open"; readonly name: string; readonly strict: boolean }
  | { readonly do: "append"; readonly stream: string; readonly expected: number; readonly rows: readonly Uint8Array[] }
  | { readonly do: "read"; readonly stream: string }
  | { readonly do: "close" };

export interface Answer {
  readonly error?: string;
  readonly rows: readonly Uint8Array[];
}

interface Opened {
  readonly pool: SAHPoolUtil;
  readonly database: Database;
  readonly head: PreparedStatement;
  readonly insert: PreparedStatement;
}

let opened: Promise<Opened> | undefined;

async function open(name: string, strict: boolean): Promise<Opened> {
  const sqlite = await sqlite3InitModule();
  const pool = await sqlite.installOpfsSAHPoolVfs({ name, directory: `/${name}` });
  const database = new pool.OpfsSAHPoolDb("/events.db");
  database.exec(`PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=${strict ? "FULL" : "OFF"};
    CREATE TABLE IF NOT EXISTS events(stream TEXT, sequence INTEGER, event BLOB, PRIMARY KEY(stream, sequence)) WITHOUT ROWID;`);
  return {
    pool,
    database,
    head: database.prepare("SELECT max(sequence) FROM events WHERE stream = ?"),
    insert: database.prepare("INSERT INTO events VALUES(?, ?, ?)"),
  };
}

function append({ database, head, insert }: Opened, stream: string, expected: number, rows: readonly Uint8Array[]): void {
  database.transaction("IMMEDIATE", () => {
    head.bind(1, stream).step();
    const found = head.getInt(0) ?? 0;
    head.reset();
    if (found !== expected) throw new Error(`conflict: ${found}, not ${expected}`);
    let sequence = expected;
    for (const row of rows) insert.bind(1, stream).bind(2, ++sequence).bind(3, row).stepReset();
  });
}

async function answer(question: Question): Promise<readonly Uint8Array[]> {
  if (question.do === "open") {
    opened = open(question.name, question.strict);
    await opened;
    return [];
  }
  const store = await opened;
  if (store === undefined) throw new Error("not open");
  if (question.do === "append") {
    append(store, question.stream, question.expected, question.rows);
    return [];
  }
  if (question.do === "read") {
    const found = store.database.selectValues("SELECT event FROM events WHERE stream = ? ORDER BY sequence", question.stream);
    return found as Uint8Array[];
  }
  store.head.finalize();
  store.insert.finalize();
  store.database.close();
  store.pool.pauseVfs(); // lets its files go
  return [];
}

async function reply(before: Promise<void>, question: Question): Promise<void> {
  await before;
  try {
    postMessage({ rows: await answer(question) } satisfies Answer);
  } catch (error) {
    postMessage({ error: String(error), rows: [] } satisfies Answer);
  }
}

// One after the other, in the order of the questions.
let last: Promise<void> = Promise.resolve();
addEventListener("message", ({ data }: MessageEvent<Question>) => {
  last = reply(last, data);
});
