import { refuse, refuseUnread } from "./check.js";
import { HoldfastError } from "./errors.js";

/** Room for the module in a data: URL. Chromium's tab dies of addresses that are much longer. */
const maxAddress = 2 ** 24;

/** Compiles what the option `wasm` names or holds, which callers without types may get wrong. */
export async function loadModule(source: unknown): Promise<WebAssembly.Module> {
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

/** The address beside this module. Bundlers look for this expression. */
function beside(): URL {
  try {
    return new URL("./holdfast.wasm", import.meta.url);
  } catch (cause) {
    throw refuse("open", `${import.meta.url.slice(0, 100)} says nothing of where holdfast.wasm is; give its whole address, with the origin, as the option wasm`, "invalid_argument", cause);
  }
}

/** The files of Node, whose `fetch` takes no address of one. */
type Files = { readFile(file: URL): Promise<Uint8Array<ArrayBuffer>> };

function files(): Files | undefined {
  const { process } = globalThis as { readonly process?: { readonly getBuiltinModule?: (name: string) => unknown } };
  return process?.getBuiltinModule?.("node:fs/promises") as Files | undefined;
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
    const known = URL.canParse(address, (globalThis as { readonly location?: Location }).location?.href);
    throw unloadable(`${address} could not be fetched${known ? "" : "; give its whole address, with the origin"}`, cause);
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
  if (!response.ok) throw unloadable(`${name} answered ${response.status}; is holdfast.wasm deployed there?`);
  // compileStreaming insists on this type, without parameters; many servers do not know it.
  const streaming = response.headers.get("content-type")?.trim().toLowerCase() === "application/wasm";
  let bytes: ArrayBuffer;
  try {
    if (streaming) return await WebAssembly.compileStreaming(response);
    bytes = await response.arrayBuffer();
  } catch (cause) {
    // Fetching fails with one of these. Compiling fails with a CompileError, or, in Firefox for half
    // a module, with an InternalError.
    throw cause instanceof TypeError || cause instanceof DOMException ? unloadable(`${name} could not be read to its end`, cause) : foreign(name, cause);
  }
  return compile(bytes, name);
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
