// Runs once before the benchmarks.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.js";

export default async function setup(): Promise<void> {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  process.env["CHROME"] ??= execFileSync(join(root, ".tools", "chrome.sh"), { encoding: "utf8" }).trim();
  await bundle();
}
