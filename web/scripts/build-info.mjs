// What the build in dist was made from. Run: writes dist/build.json. Imported by the test that refuses a stale build.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
export const dist = join(root, "web", "dist");

/** @param {string} name */
const goEnv = (name) => execFileSync("go", ["env", name], { cwd: root, encoding: "utf8" }).trim();

/** @param {string | Uint8Array} bytes */
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/**
 * The toolchain's JavaScript half of a Go program. Text that begins with U+FEFF would leave it without, and be another name:
 * not here. And an exception of a getter would end the program: `read` stands between.
 */
export function wasmExec() {
  let script = readFileSync(join(goEnv("GOROOT"), "lib", "wasm", "wasm_exec.js"), "utf8");
  for (const [theirs, ours] of /** @type {const} */ ([
    ['new TextDecoder("utf-8")', 'new TextDecoder("utf-8", { ignoreBOM: true })'],
    ["const result = Reflect.get(loadValue(sp + 8), loadString(sp + 16));", "const result = read(loadValue(sp + 8), loadString(sp + 16));"],
  ])) {
    if (script.split(theirs).length !== 2) throw new Error(`wasm_exec.js no longer has one ${theirs}: look how it does that now`);
    script = script.replace(theirs, ours);
  }
  return script;
}

/** Hash over the names and the contents of all files that go into holdfast.wasm. */
function sourceHash() {
  const files = ["go.mod", "go.sum"];
  for (const folder of ["core", "idbstore", "internal", "wasm"]) {
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (file.endsWith(".go") && !file.endsWith("_test.go")) files.push(join(folder, file));
    }
  }
  const hash = createHash("sha256");
  for (const file of files.map((f) => f.split(sep).join("/")).sort()) {
    hash.update(`${file} ${sha256(readFileSync(join(root, file)))}\n`);
  }
  return hash.digest("hex");
}

/** Names a build: the JavaScript and holdfast.wasm have the same, or do not fit together. */
export function buildId() {
  return sha256([goEnv("GOVERSION"), sourceHash(), sha256(wasmExec())].join("\n")).slice(0, 32);
}

/** What dist/build.json says when dist is fresh. */
export function buildInfo() {
  return {
    build: buildId(),
    goVersion: goEnv("GOVERSION"),
    sourceHash: sourceHash(),
    // In the form that `integrity` takes: `fetch(url, { integrity: wasmIntegrity })` gets these bytes or none.
    wasmIntegrity: `sha256-${createHash("sha256").update(readFileSync(join(dist, "holdfast.wasm"))).digest("base64")}`,
    wasmExecSha256: sha256(wasmExec()),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(dist, "build.json"), JSON.stringify(buildInfo(), null, 2) + "\n");
}
