// Where Holdfast is tried: each place with the versions of its tools, its files beside the application, and its commands.

export interface Place {
  readonly name: string;
  /** What docs/install.md says it needs. */
  readonly needs: string;
  /** The exact versions that are installed, besides the package. */
  readonly packages: Readonly<Record<string, string>>;
  /** Files of this place, by their paths. Those of `app` are there already. */
  readonly files?: Readonly<Record<string, string>>;
  /** Commands that build it, the folder that they fill, and the page in it. */
  readonly build?: { readonly commands: readonly string[]; readonly folder: string; readonly page?: string };
  /** The command of its development server, which gets the port in place of PORT, and the path of the page. */
  readonly serve?: { readonly command: string; readonly path: string };
  /** The command that runs its tests, in place of a page: those of docs/test-your-handler.md are there too. */
  readonly tests?: string;
  /** It is an extension of the browser: its page is opened there. */
  readonly extension?: boolean;
}

const nothing = "nothing";
const copy = "a copy of `holdfast.wasm` beside the bundle";
const copying = "cp node_modules/@holdfast-dev/holdfast/dist/holdfast.wasm dist/";

/** A page in `dist` that loads a bundle made of `main.js`. */
const page = (script: string): string => `<!doctype html><meta charset="utf-8"><title>A place</title><link rel="icon" href="data:,"><body>${script}</body>`;
const module = page('<script type="module" src="./main.js"></script>');

const vite = (version: string): Place => ({
  name: `Vite ${version.split(".")[0]}`,
  needs: nothing,
  packages: { vite: version },
  build: { commands: ["vite build --base ./"], folder: "dist" },
  serve: { command: "vite --host 127.0.0.1 --port PORT --strictPort", path: "/" },
});

/** Runs in `make test`, too: it needs no tools. */
export const unbundled: Place = {
  name: "a page without a bundler",
  needs: "`dist/holdfast.js` and `dist/holdfast.wasm` beside each other, and an import map",
  packages: {},
  files: {
    "site/index.html": page(
      '<script type="importmap">{ "imports": { "@holdfast-dev/holdfast": "./vendor/holdfast.js" } }</script><script type="module" src="./main.js"></script>',
    ),
  },
  build: { commands: ["mkdir site/vendor", "cp node_modules/@holdfast-dev/holdfast/dist/holdfast.js node_modules/@holdfast-dev/holdfast/dist/holdfast.wasm site/vendor", "cp main.js site"], folder: "site" },
};

export const places: readonly Place[] = [
  vite("5.4.21"),
  vite("6.4.6"),
  vite("7.3.8"),
  vite("8.3.8"),
  {
    name: "webpack 5",
    needs: nothing,
    packages: { webpack: "5.113.0" },
    files: {
      "build.mjs": `import webpack from "webpack";
        webpack({ mode: "production", performance: { hints: false }, context: import.meta.dirname, entry: "./main.js" }, (error, stats) => {
          console.log(error ?? stats.toString());
          process.exitCode = error || stats.hasErrors() || stats.hasWarnings() ? 1 : 0;
        });`,
      "dist/index.html": module,
    },
    build: { commands: ["node build.mjs"], folder: "dist" },
  },
  {
    name: "Rspack 2",
    needs: nothing,
    packages: { "@rspack/core": "2.3.4" },
    files: {
      "build.mjs": `import { rspack } from "@rspack/core";
        rspack({ mode: "production", performance: { hints: false }, context: import.meta.dirname, entry: "./main.js" }, (error, stats) => {
          console.log(error ?? stats.toString());
          process.exitCode = error || stats.hasErrors() || stats.hasWarnings() ? 1 : 0;
        });`,
      "dist/index.html": module,
    },
    build: { commands: ["node build.mjs"], folder: "dist" },
  },
  {
    name: "esbuild",
    needs: copy,
    packages: { esbuild: "0.28.2" },
    files: { "dist/index.html": module },
    build: { commands: ["esbuild main.js --bundle --format=esm --outdir=dist", copying], folder: "dist" },
  },
  {
    name: "esbuild, as a script (iife)",
    needs: "the option `wasm`: a script does not know its address",
    packages: { esbuild: "0.28.2" },
    files: { "dist/index.html": page('<script>globalThis.holdfastWasm = "holdfast.wasm";</script><script src="./main.js"></script>') },
    build: { commands: ["esbuild main.js --bundle --format=iife --outdir=dist --log-override:empty-import-meta=silent", copying], folder: "dist" },
  },
  {
    name: "Rollup 4",
    needs: copy,
    packages: { rollup: "4.68.8", "@rollup/plugin-node-resolve": "16.0.3" },
    files: { "dist/index.html": module },
    build: { commands: ["rollup main.js --plugin node-resolve --format es --file dist/main.js", copying], folder: "dist" },
  },
  {
    name: "Parcel 2",
    needs: nothing,
    packages: { parcel: "2.16.4" },
    build: { commands: ["parcel build index.html --public-url ./ --no-cache --no-optimize"], folder: "dist" },
    serve: { command: "parcel index.html --host 127.0.0.1 --port PORT --no-hmr", path: "/" },
  },
  {
    name: "Nuxt 4",
    needs: nothing,
    packages: { nuxt: "4.4.5" },
    files: {
      "nuxt.config.ts": `export default defineNuxtConfig({ compatibilityDate: "2026-01-01", telemetry: false, devtools: { enabled: false }, app: { baseURL: "/app/", head: { link: [{ rel: "icon", href: "data:," }] } }, experimental: { payloadExtraction: false } });`,
      "app/app.vue": `<template><div /></template><script setup>onMounted(() => import("../main.js"));</script>`,
    },
    build: { commands: ["nuxt generate"], folder: ".output/public" },
    serve: { command: "nuxt dev --host 127.0.0.1 --port PORT --no-fork", path: "/app/" },
  },
  {
    name: "Next 16",
    needs: nothing,
    packages: { next: "16.4.6", react: "19.3.1", "react-dom": "19.3.1" },
    files: {
      "next.config.mjs": `export default { output: "export", basePath: "/app" };`,
      "app/layout.jsx": `export default function Layout({ children }) { return <html lang="en"><head><link rel="icon" href="data:," /></head><body>{children}</body></html>; }`,
      "app/page.jsx": `"use client";
        import { useEffect } from "react";
        export default function Page() {
          useEffect(() => void import("../main.js"), []);
          return null;
        }`,
    },
    build: { commands: ["next build"], folder: "out" },
    serve: { command: "next dev --hostname 127.0.0.1 --port PORT", path: "/app" },
  },
  {
    name: "Angular 21",
    needs: "`holdfast.wasm` among the `assets` of the build, in `angular.json`",
    packages: {
      "@angular/build": "21.2.27",
      "@angular/cli": "21.2.27",
      "@angular/common": "21.2.26",
      "@angular/compiler": "21.2.26",
      "@angular/compiler-cli": "21.2.26",
      "@angular/core": "21.2.26",
      "@angular/platform-browser": "21.2.26",
      rxjs: "7.8.2",
      typescript: "5.9.3",
    },
    files: {
      "angular.json": JSON.stringify({
        version: 1,
        cli: { analytics: false },
        projects: {
          place: {
            projectType: "application",
            root: "",
            architect: {
              build: {
                builder: "@angular/build:application",
                options: {
                  browser: "src/main.ts",
                  index: "src/index.html",
                  tsConfig: "tsconfig.json",
                  baseHref: "/app/",
                  assets: [{ glob: "holdfast.wasm", input: "node_modules/@holdfast-dev/holdfast/dist", output: "/" }],
                },
              },
              serve: { builder: "@angular/build:dev-server", options: { buildTarget: "place:build" } },
            },
          },
        },
      }),
      "tsconfig.json": JSON.stringify({
        compilerOptions: { target: "ES2022", module: "preserve", moduleResolution: "bundler", experimentalDecorators: true, allowJs: true, skipLibCheck: true },
        files: ["src/main.ts"],
      }),
      "src/index.html": `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A place</title><base href="/app/"><link rel="icon" href="data:,"></head><body><app-root></app-root></body></html>`,
      "src/main.ts": `import { Component } from "@angular/core";
        import { bootstrapApplication } from "@angular/platform-browser";
        @Component({ selector: "app-root", template: "" })
        class App {
          constructor() {
            void import("../main.js");
          }
        }
        void bootstrapApplication(App);`,
    },
    build: { commands: ["ng build"], folder: "dist/place/browser" },
    serve: { command: "ng serve --host 127.0.0.1 --port PORT --live-reload=false", path: "/app/" },
  },
  {
    name: "WXT 0.20",
    needs: "a copy of `holdfast.wasm` in `public`, and `'wasm-unsafe-eval'` in the manifest's policy",
    packages: { wxt: "0.20.9" },
    files: {
      "wxt.config.ts": `import { defineConfig } from "wxt";
        export default defineConfig({ manifest: { content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'; object-src 'self'" } } });`,
      "entrypoints/background.js": `export default defineBackground(() => {});`,
      "entrypoints/panel/index.html": page('<script type="module" src="../../main.js"></script>'),
    },
    build: { commands: ["mkdir public", "cp node_modules/@holdfast-dev/holdfast/dist/holdfast.wasm public", "wxt build"], folder: ".output/chrome-mv3", page: "panel.html" },
    extension: true,
  },
  unbundled,
  {
    name: "Vitest with jsdom",
    needs: "`// @vitest-environment node` in files with a shared store",
    packages: { vitest: "4.1.12", jsdom: "26.1.0", "fake-indexeddb": "6.2.8" },
    files: {
      // Without the whole comment, which Vitest finds in a string, too.
      "refused.test.ts": `import { sharedStore } from "@holdfast-dev/holdfast/testing";
        import { expect, test } from "vitest";
        test("a shared store says what it needs", () => expect(() => sharedStore()).toThrow(/realm.* put .*-environment node/));`,
      "shared.test.ts": `// @vitest-environment node
        import "./survives.test";`,
    },
    tests: "vitest run --environment jsdom --testTimeout 60000 answers retries refused shared",
  },
  {
    name: "Jest 30",
    needs: "`NODE_OPTIONS=--experimental-vm-modules`",
    packages: { jest: "30.5.2", "fake-indexeddb": "6.2.8" },
    files: {
      "survives.test.js": `import { crashAfter, sharedStore } from "@holdfast-dev/holdfast/testing";
        import { open } from "@holdfast-dev/holdfast";
        const finished = (chat) => new Promise((resolve) => chat.subscribe(() => chat.state.message("m")?.status === "finished" && resolve(chat.state.message("m").result)));
        const handler = ({ message, step }) => step("echo", () => message.body);
        test("in memory", async () => {
          const holdfast = await open({ storage: "memory" });
          const chat = await holdfast.recover("chat");
          const result = finished(chat);
          chat.process(handler);
          await chat.send({ id: "m", body: 42 });
          expect(await result).toBe(42);
          await holdfast.close();
        });
        test("after a crash", async () => {
          const store = sharedStore();
          const page = await store.open();
          const crashed = crashAfter(page, 1);
          void (await page.recover("chat")).send({ id: "m", body: 42 });
          await crashed;
          const next = await store.open();
          const chat = await next.recover("chat");
          const result = finished(chat);
          chat.process(handler);
          expect(await result).toBe(42);
          await next.close();
        });`,
    },
    tests: "NODE_OPTIONS=--experimental-vm-modules jest --testTimeout=60000 --testPathPatterns survives.test.js",
  },
];

/** The rows of the table in docs/install.md. */
export const rows: readonly string[] = places.map(({ name, needs, packages, build, serve, tests, extension }) => {
  const [tool = "", version = ""] = Object.entries(packages)[0] ?? [];
  const ways = [tests !== undefined ? "tests" : "", extension === true ? "loaded" : build !== undefined ? "built" : "", serve !== undefined ? "development server" : ""].filter((way) => way !== "");
  return `| ${name} | ${tool === "" ? "" : `\`${tool}\` ${version}`} | ${ways.join(", ")} | ${needs} |`;
});
