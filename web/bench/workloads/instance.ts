// The start of an instance from a compiled module, beside a Go program that does nothing.
import { open } from "@holdfast-dev/holdfast";
import { defineGo } from "../../dist/go.js";
import { timed } from "./log.js";

export interface Starts {
  readonly holdfast: number[];
  readonly empty: number[];
}

export async function instanceStarts(rounds: number, ours: string, emptyProgram: string): Promise<Starts> {
  const [module, empty] = await Promise.all([ours, emptyProgram].map((url) => WebAssembly.compileStreaming(fetch(url))));
  if (module === undefined || empty === undefined) throw new Error("no modules");
  const starts: Starts = { holdfast: [], empty: [] };
  const startOurs = async (): Promise<number> => {
    let close = async (): Promise<void> => undefined;
    const ms = await timed(async () => {
      const holdfast = await open({ wasm: module, storage: "memory" });
      close = () => holdfast.close();
    });
    await close();
    return ms;
  };
  const startEmpty = (): Promise<number> =>
    timed(async () => {
      // As in the package, but for what keeps the page's globals clean.
      const go = new (defineGo({ ...bare }, { writeSync: () => 0 }))();
      void go.run(await WebAssembly.instantiate(empty, go.importObject)); // has run up to where it waits for ever
    });
  for (let round = -1; round < rounds; round++) {
    const first = round % 2 === 0 ? await startOurs() : undefined;
    const theirs = await startEmpty();
    const mine = first ?? (await startOurs());
    if (round < 0) continue;
    starts.holdfast.push(mine);
    starts.empty.push(theirs);
  }
  return starts;
}

/** What wasm_exec.js and an empty program look for. */
const bare = { Object, Array, Uint8Array, crypto, performance, TextEncoder, TextDecoder };
