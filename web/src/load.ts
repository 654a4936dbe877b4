import { HoldfastError } from "./errors.js";
import { refuse } from "./check.js";
import type { OpenOptions } from "./types.js";

/** Compiles the WebAssembly of `source`. */
export async function loadModule(source: OpenOptions["wasm"]): Promise<WebAssembly.Module> {
  // Typed unknown, because callers without types give anything.
  const given: unknown = source ?? new URL("./holdfast.wasm", import.meta.url);
  if (given instanceof WebAssembly.Module) return given;
  if (given instanceof ArrayBuffer || ArrayBuffer.isView(given)) return compile(given as BufferSource, "the given bytes");
  const response = await fetched(given);
  const name = response.url === "" ? "the given response" : response.url;
  if (!response.ok) throw unloadable(`${name} answered ${response.status}; is holdfast.wasm deployed there?`);
  // compileStreaming insists on this type; many servers do not know it.
  if (response.headers.get("content-type")?.split(";")[0]?.trim() === "application/wasm") {
    try {
      return await WebAssembly.compileStreaming(response);
    } catch (cause) {
      throw broken(name, cause);
    }
  }
  let bytes: ArrayBuffer;
  try {
    bytes = await response.arrayBuffer();
  } catch (cause) {
    throw unloadable(`${name} could not be read to its end`, cause);
  }
  return compile(bytes, name);
}

async function fetched(source: unknown): Promise<Response> {
  const isAddress = typeof source === "string" || source instanceof URL;
  let response: unknown;
  try {
    response = await (isAddress ? fetch(source) : source);
  } catch (cause) {
    throw unloadable(isAddress ? `${String(source)} could not be fetched` : "the promise of a response was rejected", cause);
  }
  if (!(response instanceof Response)) throw refuse("open", "wasm must be a URL, a Response, bytes, or a WebAssembly.Module");
  if (response.bodyUsed) throw refuse("open", "the response given as wasm has been read before; give a fresh one");
  return response;
}

async function compile(bytes: BufferSource, name: string): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw broken(name, cause);
  }
}

function broken(name: string, cause: unknown): HoldfastError {
  return refuse(
    "open",
    `${name} is not the WebAssembly of Holdfast, or the page's Content-Security-Policy lacks 'wasm-unsafe-eval'; ` +
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
