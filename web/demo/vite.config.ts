import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** Tells the service worker which files it is to keep: all of them, and the page under its short address. */
const offline: Plugin = {
  name: "offline",
  enforce: "post",
  generateBundle(_, bundle) {
    const worker = bundle["service-worker.js"];
    if (worker?.type !== "chunk") return;
    const hash = createHash("sha256");
    const files = ["./"];
    for (const [name, output] of Object.entries(bundle)) {
      if (output === worker) continue;
      files.push(name);
      hash.update(name).update(output.type === "chunk" ? output.code : output.source);
    }
    for (const name of readdirSync(path("public"))) {
      files.push(name);
      hash.update(name).update(readFileSync(path(`public/${name}`)));
    }
    worker.code = `const __FILES__ = ${JSON.stringify(files)}, __VERSION__ = ${JSON.stringify(hash.digest("hex").slice(0, 16))};\n${worker.code}`;
  },
};

export default defineConfig({
  base: "./", // so that a build runs in any folder of any server
  // The demo imports the package by name, and gets what was built here.
  resolve: { alias: { "@holdfast-dev/holdfast": path("../dist/index.js") } },
  plugins: [offline],
  server: {
    host: "127.0.0.1", // and the next free port, if 5173 is taken
    fs: { allow: [path("..")] },
  },
  preview: { host: "127.0.0.1" },
  build: {
    outDir: path("../../.build/demo"),
    emptyOutDir: true,
    target: "es2022",
    // The page's policy forbids what is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: path("index.html"), crashed: path("crashed.html"), "service-worker": path("worker/service-worker.ts") },
      // A service worker keeps its address: the browser looks there for a newer one.
      output: { entryFileNames: ({ name }) => (name === "service-worker" ? "[name].js" : "assets/[name]-[hash].js") },
    },
  },
});
