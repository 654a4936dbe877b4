import { refuse, refuseUnread } from "./check.js";
import { HoldfastError } from "./errors.js";

/** Room for the module in a data: URL. Chromium's tab dies of addresses that are much longer. */
const maxAddress = 2 ** 24;

/** Compiles what the option `wasm` names or holds, which callers without types may get wrong. */
export async function loadModule(source: unknown): Promise<WebAssembly.Module> {
  if (typeof WebAssembly === "undefined") throw refuse("open", "there is no WebAssembly here: this browser is too old, or its user has turned it off, as the Lockdown Mode of Safari does");
  const given = source ?? beside();
  try {
    if (given instanceof WebAssembly.Module) return given;
    if (given instanceof ArrayBuffer) return await compile(given, "what was given");
    // Chromium compiles no DataView.
    if (ArrayBuffer.isView(given)) return await compile(new Uint8Array(given.buffer as ArrayBuffer, given.byteOffset, given.byteLength), "what was given");
    const address = typeof given === "string" ? given : given instanceof URL ? given.href : undefined;
    const file = address?.startsWith("file:") === true ? files() : undefined;
    if (file !== undefined && address !== undefined) return await compile(await readFile(file, address), address);
    return await read(address === undefined ? await promised(given) : await fetched(address));
  } catch (thrown) {
    throw refuseUnread("open", "wasm", thrown);
  }
}

/** Where development servers put a dependency that they have bundled, without what lies beside it: Vite 5 to 7, Nuxt, Angular. */
const bundled = /\/(?:node_modules\/\.(?:vite|cache)|\.angular\/cache)\/.*$/;

/** Where such servers would have files of other folders. Under Vitest a linked package is given that address, and there is no server. */
const served = /^https?:\/\/[^/]+\/@fs(?=\/)/;

/** The address beside this module. Bundlers look for the first expression. */
function beside(): string {
  try {
    const address = new URL("./holdfast.wasm", import.meta.url).href.replace(bundled, "/node_modules/@holdfast-dev/holdfast/dist/holdfast.wasm");
    return files() === undefined ? address : address.replace(served, "file://");
  } catch (cause) {
    // In a script that is no module there is no address at all.
    const here = (import.meta.url as string | undefined)?.slice(0, 100) ?? "unknown";
    throw refuse("open", `the address of this script, ${here}, says nothing of where holdfast.wasm is; give its whole address, with the origin, as the option wasm`, "invalid_argument", cause);
  }
}

/** The files of Node, whose `fetch` takes no address of one. */
type Files = { readFile(file: URL): Promise<Uint8Array<ArrayBuffer>> };

function files(): Files | undefined {
  try {
    const { process } = globalThis as { readonly process?: { readonly getBuiltinModule?: (name: string) => unknown } };
    return process?.getBuiltinModule?.("node:fs/promises") as Files | undefined;
  } catch {
    return undefined; // a page that has something else of that name
  }
}

async function readFile(from: Files, address: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await from.readFile(new URL(address));
  } catch (cause) {
    throw unloadable(`${address} could not be read`, cause);
  }
}

async function fetched(address: string): Promise<Response> {
  if (address.length > maxAddress) throw refuse("open", `wasm must not be an address of more than ${maxAddress} characters`);
  try {
    return await fetch(address);
  } catch (cause) {
    // A worker that was made from a blob has an address to which nothing is relative.
    let help = "";
    if (!resolves(address)) help = "; give its whole address, with the origin";
    else if (/^file:/i.test(address)) help = "; a page may not fetch files: serve it by http, or give the bytes as the option wasm";
    else if (/^[a-z-]+-extension:/i.test(address)) help = `; ${remedy(address)}`; // that is how extensions answer 404
    throw unloadable(`${address} could not be fetched${help}`, cause);
  }
}

function resolves(address: string): boolean {
  try {
    return new URL(address, (globalThis as { readonly location?: Location }).location?.href).href !== "";
  } catch {
    return false;
  }
}

async function promised(given: unknown): Promise<Response> {
  let response: unknown;
  try {
    response = await given;
  } catch (cause) {
    throw unloadable("the promise of a response was rejected", cause);
  }
  if (!(response instanceof Response)) throw refuse("open", "wasm must be a URL, a Response, bytes, or a WebAssembly.Module");
  if (response.bodyUsed) throw refuse("open", "the response given as wasm has been read before; give a fresh one");
  return response;
}

async function read(response: Response): Promise<WebAssembly.Module> {
  const name = response.url === "" ? "the given response" : response.url;
  if (!response.ok) throw unloadable(`${name} answered ${response.status}; ${remedy(name)}`);
  const type = response.headers.get("content-type")?.trim().toLowerCase() ?? "";
  // compileStreaming insists on this type, without parameters; many servers do not know it.
  const streaming = type === "application/wasm";
  let bytes: ArrayBuffer;
  try {
    if (streaming) return await WebAssembly.compileStreaming(response);
    bytes = await response.arrayBuffer();
  } catch (cause) {
    // Fetching fails with one of these. Compiling fails with a CompileError, or, in Firefox for half
    // a module, with an InternalError.
    throw cause instanceof TypeError || cause instanceof DOMException ? unloadable(`${name} could not be read to its end`, cause) : foreign(name, cause);
  }
  if (!isWasm(bytes)) {
    const html = type.startsWith("text/html") || /^\s*</.test(new TextDecoder().decode(bytes.slice(0, 100)));
    throw refuse("open", `${name} is not the WebAssembly of Holdfast but ${html ? "a page of HTML" : `${bytes.byteLength} bytes of "${type}"`}; ${remedy(name)}`);
  }
  return compile(bytes, name);
}

/** Whether it begins as WebAssembly does. */
function isWasm(bytes: ArrayBuffer): boolean {
  const [nul, a, s, m] = new Uint8Array(bytes);
  return nul === 0 && a === 0x61 && s === 0x73 && m === 0x6d;
}

/** What to do where the address has something else. */
function remedy(name: string): string {
  return name.includes("/node_modules/@holdfast-dev/") && bundled.test(import.meta.url)
    ? 'keep Vite from bundling the package: optimizeDeps: { exclude: ["@holdfast-dev/holdfast"] }'
    : 'copy node_modules/@holdfast-dev/holdfast/dist/holdfast.wasm there, or give its address: open({ wasm: "/holdfast.wasm" })';
}

async function compile(bytes: BufferSource, name: string): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw foreign(name, cause);
  }
}

/** The error for what is not our WebAssembly, or must not be compiled here. */
export function foreign(name: string, cause?: unknown): HoldfastError {
  return refuse(
    "open",
    `${name} is not the WebAssembly of this release of Holdfast, or the page's Content-Security-Policy lacks 'wasm-unsafe-eval'; ` +
      "if a bundler moved the package, give the address of holdfast.wasm as the option wasm",
    "invalid_argument",
    cause,
  );
}

function unloadable(problem: string, cause?: unknown): HoldfastError {
  return new HoldfastError("instance_lost", `holdfast: open: instance_lost: ${problem}`, {
    operation: "open",
    outcome: "not_written",
    cause,
  });
}
