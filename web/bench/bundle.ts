// Bundles the page of the benchmarks, and for each peer a page of its own.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import { build, type Plugin } from "vite";
import { otherDist } from "./plan.js";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..");

/** Where the bundles are, and what else the page fetches. */
export const bundles: string = join(root, ".build", "bench");

/** The files in `peers` that export a peer of the same name. */
export const modules = ["holdfast", ...(otherDist === "" ? [] : (["other"] as const)), "floor", "idb", "dexie", "rxdb", "pouchdb", "yjs", "sqlite"] as const;

export type Module = (typeof modules)[number];

const dist = join(here, "..", "dist");

export async function bundle(): Promise<void> {
  await bundleTo("page", `import { bench } from ${JSON.stringify(join(here, "page/page.ts"))}; globalThis.bench = bench;`);
  await bundleTo("isolated", `import { isolated } from ${JSON.stringify(join(here, "page/isolated.ts"))}; globalThis.isolated = isolated;`);
  for (const module of modules) {
    const [peer, start] = [join(here, `peers/${module}.ts`), join(here, "page/start.ts")];
    await bundleTo(module, `import { ${module} as peer } from ${JSON.stringify(peer)}; import { start } from ${JSON.stringify(start)}; start(peer);`);
  }
}

async function bundleTo(name: string, code: string): Promise<void> {
  const entry = join(here, "entry.ts");
  const virtual: Plugin = {
    name: "entry",
    resolveId: (id) => (id === entry ? id : undefined),
    load: (id) => (id === entry ? code : undefined),
  };
  await build({
    configFile: false,
    root: here,
    base: `/bench/${name}/`,
    logLevel: "error",
    resolve: {
      alias: {
        "@holdfast-dev/holdfast": join(dist, "index.js"),
        "holdfast-other": join(otherDist === "" ? dist : resolve(root, otherDist), "index.js"),
      },
    },
    plugins: [virtual],
    worker: { format: "es" },
    define: { "process.env.NODE_ENV": '"production"', global: "globalThis", otherDist: JSON.stringify(otherDist) },
    build: {
      outDir: join(bundles, name),
      emptyOutDir: true,
      target: "es2022",
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 5000,
      rolldownOptions: { input: entry, output: { entryFileNames: "entry.js" } },
    },
  });
}

/** Bytes of what a page has fetched of the bundles, each compressed with brotli. */
export function size(paths: readonly string[]): number {
  let sum = 0;
  for (const path of paths.filter((one) => one.startsWith("/bench/"))) {
    const bytes = readFileSync(join(bundles, path.slice("/bench/".length)));
    const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
    sum += brotliCompressSync(bytes, { params }).length;
  }
  return sum;
}
