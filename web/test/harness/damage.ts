// What can happen to the files of a browser's IndexedDB while it does not run.
import { closeSync, openSync, readdirSync, readFileSync, statSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Files that hold data, by what they are: the logs, tables and manifests of LevelDB and the values beside it, SQLite's database and its log. */
function filesOf(profile: string): Map<string, string[]> {
  const folder = join(profile, "Default", "IndexedDB");
  const kinds = new Map<string, string[]>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (!entry.isFile() || statSync(file).size === 0 || /^(LOG|LOCK)|-shm$/.test(entry.name)) continue;
    const kind = kindOf(entry.parentPath, entry.name);
    kinds.set(kind, [...(kinds.get(kind) ?? []), file].sort());
  }
  return kinds;
}

function kindOf(folder: string, name: string): string {
  if (folder.includes(".indexeddb.blob")) return "blob";
  if (folder.endsWith(".indexeddb.leveldb")) return /^(MANIFEST|CURRENT)/.test(name) ? "MANIFEST" : /^\d+\.(log|ldb)$/.exec(name)?.[1] ?? name;
  return name.endsWith("-wal") ? "wal" : "database";
}

const ways = ["flip", "overwrite", "zero", "truncate"] as const;

/** Damages one file, or a few bytes of it, at random. Returns what it has done. */
export function damage(profile: string, next: () => number): string {
  const pick = (n: number): number => Math.floor(next() * n);
  const kinds = [...filesOf(profile)].sort(([a], [b]) => (a < b ? -1 : 1));
  const [kind, files] = kinds[pick(kinds.length)] ?? ["nothing", []];
  const file = files[pick(files.length)];
  if (file === undefined) throw new Error("the profile has no files of IndexedDB");
  const { size } = statSync(file);
  const way = ways[pick(ways.length)];
  const at = pick(size);
  switch (way) {
    case "truncate":
      truncateSync(file, at);
      break;
    case "flip": {
      const bytes = readFileSync(file);
      for (let n = 1 + pick(16); n > 0; n--) {
        const place = pick(size);
        write(file, place, Buffer.from([(bytes[place] ?? 0) ^ (1 << pick(8))]));
      }
      break;
    }
    default: {
      const block = Buffer.alloc(Math.min(12_288, size - at));
      if (way === "overwrite") for (let i = 0; i < block.length; i++) block[i] = pick(256);
      write(file, at, block);
    }
  }
  return `${way} ${kind}`;
}

function write(file: string, at: number, bytes: Buffer): void {
  const handle = openSync(file, "r+");
  writeSync(handle, bytes, 0, bytes.length, at);
  closeSync(handle);
}
