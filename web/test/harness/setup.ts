// Runs once before all tests: finds the browser, and bundles each file of test/pages to /bundle/<name>.js.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { bundles, dist } from "./server.js";

const web = fileURLToPath(new URL("../..", import.meta.url));

export default async function setup(): Promise<void> {
  process.env["CHROME"] ??= execFileSync(join(web, "..", ".tools", "chrome.sh"), { encoding: "utf8" }).trim();
  const pages = join(web, "test", "pages");
  const files = readdirSync(pages).filter((file) => file.endsWith(".ts"));
  await build({
    configFile: false,
    root: pages,
    base: "/bundle/",
    logLevel: "warn",
    resolve: { alias: { "@holdfast-dev/holdfast/react": join(dist, "react.js"), "@holdfast-dev/holdfast": join(dist, "index.js") } },
    // React tells what is wrong with its use only so.
    define: { "process.env.NODE_ENV": '"development"' },
    build: {
      outDir: bundles,
      emptyOutDir: true,
      target: "es2022",
      chunkSizeWarningLimit: 2000, // React's development mode is large
      rolldownOptions: {
        input: Object.fromEntries(files.map((file) => [basename(file, ".ts"), join(pages, file)])),
        output: { entryFileNames: "[name].js" },
        preserveEntrySignatures: "strict",
      },
    },
  });
}
