// The start of an instance from a compiled module, beside a Go program that does nothing.
import { open } from "@holdfast-dev/holdfast";
import { defineGo } from "../../dist/bridge/go.js";
import { timed } from "./log.js";

/** Milliseconds: of Holdfast first, then of the programs at `others`, round by round. */
export async function instanceStarts(rounds: number, ours: string, others: readonly string[]): Promise<number[][]> {
  const compile = (url: string): Promise<WebAssembly.Module> => WebAssembly.compileStreaming(fetch(url));
  const [module, programs] = [await compile(ours), await Promise.all(others.map(compile))];
  const startOurs = async (): Promise<number> => {
    let close = async (): Promise<void> => undefined;
    const ms = await timed(async () => {
      const holdfast = await open({ wasm: module, storage: "memory" });
      close = () => holdfast.close();
    });
    await close();
    return ms;
  };
  const start = (program: WebAssembly.Module): Promise<number> =>
    timed(async () => {
      // As in the package, but for what keeps the page's globals clean.
      const go = new (defineGo({ ...bare }, { writeSync: () => 0 }, Reflect.get))();
      void go.run(await WebAssembly.instantiate(program, go.importObject)); // has run up to where it waits for ever
    });
  const starts = [startOurs, ...programs.map((program) => () => start(program))];
  const took = starts.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const i of round % 2 === 0 ? starts.keys() : [...starts.keys()].toReversed()) {
      const ms = (await starts[i]?.()) ?? NaN;
      if (round >= 0) took[i]?.push(ms);
    }
  }
  return took;
}

/** What wasm_exec.js and an empty program look for. */
const bare = { Object, Array, Uint8Array, crypto, performance, TextEncoder, TextDecoder };
