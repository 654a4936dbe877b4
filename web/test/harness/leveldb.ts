// Chromium's LevelDB writes the header and the contents of a record by two system calls. A kill in between leaves a
// header alone at the end of the log. That is no harm yet: the next browser reads up to there. But it then writes on
// behind the header, and the browser after that takes what it finds for corruption and deletes all of the origin's
// IndexedDB. So says no specification, and the SQLite backend does not do it; see once/torn.spec.ts.
import { existsSync, readdirSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";

const block = 32_768;
const header = 7; // checksum, 4 bytes; length, 2 bytes; type, 1 byte
/** A record is whole, or in several pieces, the last of which ends it. */
const whole = 1;
const last = 4;

/** The log that the next browser reads; undefined if the profile has no LevelDB with an IndexedDB. */
export function logOf(profile: string): string | undefined {
  const folder = join(profile, "Default", "IndexedDB");
  if (!existsSync(folder)) return undefined; // another engine's
  const logs = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /\.leveldb\/\d+\.log$/.test(name));
  const newest = logs.sort().at(-1);
  return newest === undefined ? undefined : join(folder, newest);
}

/**
 * Removes what a kill has left of a record at the end of the log: it belongs to a commit that never came about.
 * Returns whether there was such a thing.
 */
export function mend(profile: string): boolean {
  const file = logOf(profile);
  if (file === undefined) return false;
  const bytes = readFileSync(file);
  const end = endOfRecords(bytes);
  if (end === bytes.length) return false;
  truncateSync(file, end);
  return true;
}

/** Where the last complete record ends. */
export function endOfRecords(bytes: Buffer): number {
  let end = 0;
  let at = 0;
  while (at + header <= bytes.length) {
    const left = block - (at % block);
    if (left < header) {
      at += left; // filled up with zeros
      continue;
    }
    const next = at + header + bytes.readUInt16LE(at + 4);
    if (next > bytes.length) break;
    const type = bytes.readUInt8(at + 6);
    if (type === whole || type === last) end = next;
    at = next;
  }
  return end;
}
