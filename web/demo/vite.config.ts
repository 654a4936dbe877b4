import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  base: "./", // so that a build runs in any folder of any server
  // The demo imports the package by name, and gets what was built here.
  resolve: { alias: { "@holdfast-dev/holdfast": path("../dist/index.js") } },
  server: {
    host: "127.0.0.1", // and the next free port, if 5173 is taken
    fs: { allow: [path("..")] },
  },
  build: {
    outDir: path("../../.build/demo"),
    emptyOutDir: true,
    target: "es2022",
    // The page's policy forbids what is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: [path("index.html"), path("crashed.html")] },
  },
});
