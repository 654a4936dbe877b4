// Prints what a visitor downloads: holdfast.wasm, and the JavaScript as vite bundles and minifies it together with
// its dependency; and writes it into docs/install.md. Fails when both, compressed with brotli, exceed the budget.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "vite";
import { dist } from "./build-info.mjs";

const budget = 844_000;

const entry = "\0entry";
const output = await build({
  configFile: false,
  logLevel: "error",
  plugins: [
    {
      name: "entry",
      resolveId: (id) => (id === "entry" ? entry : undefined),
      // All exports, and kept: nothing of the package may be left out as unused.
      load: (id) => (id === entry ? `export * from ${JSON.stringify(join(dist, "index.js"))}` : undefined),
    },
    {
      // The module is counted by itself, not as a data URL or an asset.
      name: "external-wasm",
      enforce: "pre",
      transform: (code, id) => (id.startsWith(dist) ? code.replaceAll("holdfast.wasm", "wasm") : undefined),
    },
  ],
  build: { write: false, minify: true, target: "es2022", rolldownOptions: { input: "entry", preserveEntrySignatures: "strict" } },
});
const chunks = (Array.isArray(output) ? output : [output]).flatMap((o) => ("output" in o ? o.output : []));
const js = chunks.map((c) => (c.type === "chunk" ? c.code : "")).join("");

/** @param {Uint8Array} bytes */
function sizes(bytes) {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 24,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  return [bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes, { params }).length];
}

/** @param {string} name @param {number[]} row */
const print = (name, row) => console.log(name.padEnd(14) + row.map((n) => n.toLocaleString("en-US").padStart(12)).join(""));

const rows = [sizes(readFileSync(join(dist, "holdfast.wasm"))), sizes(Buffer.from(js))];
const total = [0, 1, 2].map((i) => rows.reduce((sum, row) => sum + (row[i] ?? 0), 0));
console.log("bytes".padEnd(14) + ["raw", "gzip -9", "brotli -11"].map((s) => s.padStart(12)).join(""));
print("holdfast.wasm", rows[0] ?? []);
print("JavaScript", rows[1] ?? []);
print("total", total);

const kilobytes = (/** @type {number[]} */ row) => row.map((n) => ` ${Math.round(n / 1000).toLocaleString("en-US")} KB |`).join("");
const install = new URL("../docs/install.md", import.meta.url);
const table = `| | raw | gzip -9 | brotli -11 |\n|---|---|---|---|\n| \`holdfast.wasm\` |${kilobytes(rows[0] ?? [])}\n| JavaScript, minified |${kilobytes(rows[1] ?? [])}\n`;
const marked = /(<!-- Written by `make size`\. -->\n)(?:\|.*\n)*\n/;
const text = readFileSync(install, "utf8");
if (!marked.test(text)) throw new Error("docs/install.md has no place for the sizes");
writeFileSync(install, text.replace(marked, (_, mark) => `${mark}${table}\n`));

const brotli = total[2] ?? Infinity;
if (brotli > budget) {
  console.error(`${brotli.toLocaleString("en-US")} bytes are more than the budget of ${budget.toLocaleString("en-US")}`);
  process.exit(1);
}
