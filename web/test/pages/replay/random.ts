// Random handlers out of all shapes, as trees, and what runs them. Each output says for which call it was
// made, so that a swap shows.
import type { RunStep, StepContext, StepOptions } from "@holdfast-dev/holdfast";
import { hops, type Shape } from "./shape.js";
import { pause, type World } from "./world.js";

/** `det`: does what varies in steps alone. `foreign`: waits for what is no step, too. `nd`: goes another way by chance. */
export type Kind = "det" | "foreign" | "nd";

interface Common {
  readonly id: number;
  readonly name: string;
  readonly keyed: boolean;
}

interface Leaf extends Common {
  readonly kind: "step";
  readonly latency: number;
  readonly fails: number;
  readonly terminal: boolean;
  readonly flaky: boolean;
  readonly policy?: NonNullable<StepOptions["sideEffect"]>;
}

type Tree =
  | Leaf
  | ({ readonly kind: "wait"; readonly timeout?: number } & Common)
  | ({ readonly kind: "sleep"; readonly ms: number } & Common)
  | ({ readonly kind: "nested"; readonly before: number; readonly fails: number; readonly body: Tree } & Common)
  | ({ readonly kind: "early"; readonly body: Tree } & Common)
  | { readonly kind: "hops" | "foreign"; readonly n: number }
  | { readonly kind: "loop" | "recursion"; readonly n: number; readonly body: Tree }
  | { readonly kind: "scope"; readonly name: string; readonly body: Tree }
  | { readonly kind: "swallow"; readonly body: Tree }
  | { readonly kind: "try"; readonly body: Tree; readonly other: Tree }
  | { readonly kind: "seq" | "all" | "race" | "any" | "settled" | "branch" | "coin"; readonly list: readonly Tree[] }
  | { readonly kind: "shuffle"; readonly list: readonly Tree[]; readonly parallel: boolean };

const names = ["a", "b", "c"] as const;
const inner = [
  ...["step", "step", "seq", "seq", "loop", "try", "try", "all", "all", "all", "race", "any", "settled"],
  ...["timeout", "nested", "scope", "recursion", "branch", "swallow", "early"],
] as const;
const largest = 22;

/** Draws a handler. */
export function draw(next: () => number, kind: Kind): Tree {
  let id = 0;
  let size = 0;
  const below = (n: number): number => Math.floor(next() * n);
  const of = <T>(list: readonly [T, ...T[]]): T => list[below(list.length)] ?? list[0];
  const common = (): Common => ({ id: id++, name: of(names), keyed: next() < 0.25 });
  const leaf = (): Tree => {
    size++;
    const chance = next();
    if (chance < 0.08) return { kind: "wait", ...common(), ...(next() < 0.5 ? { timeout: 20 + below(60) } : {}) };
    if (chance < 0.14) return { kind: "sleep", ...common(), ms: below(30) };
    const step: Leaf = { kind: "step", ...common(), latency: below(16), fails: next() < 0.25 ? 1 + below(4) : 0, terminal: next() < 0.07, flaky: next() < 0.1 };
    if (chance < 0.22) return { ...step, policy: of(["rerun", "skip", "ask"] as const), keyed: true };
    if (chance < 0.3) return { kind: "seq", list: [{ kind: "hops", n: 1 + below(9) }, step] };
    return step;
  };
  const list = (depth: number, n: number): Tree[] => Array.from({ length: n }, () => tree(depth - 1));
  const tree = (depth: number): Tree => {
    if (depth <= 0 || size > largest) return leaf();
    const chance = next();
    if (kind === "foreign" && chance < 0.12) return { kind: "seq", list: [{ kind: "foreign", n: below(10) }, tree(depth - 1)] };
    if (kind === "nd" && chance < 0.14) return next() < 0.5 ? { kind: "coin", list: list(depth, 2) } : { kind: "shuffle", list: list(depth, 3), parallel: next() < 0.5 };
    const shape = of(inner);
    switch (shape) {
      case "step":
        return leaf();
      case "seq":
      case "all":
      case "race":
      case "any":
      case "settled":
        return { kind: shape, list: list(depth, 2 + below(2)) };
      case "branch":
        return { kind: shape, list: list(depth, 2) };
      case "loop":
        return { kind: shape, n: 2 + below(2), body: tree(depth - 1) };
      case "recursion":
        return { kind: shape, n: 1 + below(3), body: tree(depth - 2) };
      case "try":
        return { kind: shape, body: tree(depth - 1), other: tree(depth - 1) };
      case "timeout":
        return { kind: "race", list: [tree(depth - 1), { kind: "sleep", ...common(), keyed: false, ms: 5 + below(40) }] };
      case "nested":
        return { kind: shape, ...common(), before: below(10), fails: next() < 0.2 ? 1 : 0, body: tree(depth - 1) };
      case "scope":
        return { kind: shape, name: of(["s", "t"]), body: tree(depth - 1) };
      case "swallow":
        return { kind: shape, body: tree(depth - 1) };
      case "early":
        return { kind: shape, ...common(), keyed: false, body: tree(depth - 1) };
    }
  };
  return { kind: "seq", list: [tree(4), tree(3), leaf()] };
}

/** An output: the call that it was made for, and what a handler may depend on. */
interface Made {
  readonly by: string;
  readonly n: number;
}

function hash(text: string): number {
  let sum = 7;
  for (const c of text) sum = (sum * 31 + c.charCodeAt(0)) | 0;
  return sum >>> 0;
}

/**
 * What the function of a leaf does. What heals fails no more after its first calls, in whichever attempt.
 * A key says which step a call is within one function. If the step of that function has no key, and its
 * handler goes another way by chance, it may be another one after a crash, and so is all within it.
 */
async function work(world: World, leaf: Leaf, by: string, { attempt }: StepContext, { heals, chance }: Manner): Promise<Made> {
  const count = world.call(by);
  const undone = leaf.terminal && (count === 1 || !heals);
  const again = leaf.policy === undefined || leaf.policy === "rerun" || (chance && by.includes("/"));
  if (!undone) world.expect(world.call(`${by} done`) === 1 || again, `${by} is done twice`);
  if (leaf.latency > 0) await pause(Math.random() * leaf.latency);
  if (undone) throw new world.package.TerminalError(by);
  if ((heals ? count : attempt) <= leaf.fails || (leaf.flaky && Math.random() < 0.5)) throw new Error(by);
  return { by, n: Math.floor(Math.random() * 4) };
}

interface Manner {
  readonly heals: boolean;
  /** It goes another way by chance. */
  readonly chance: boolean;
}

/** Runs a tree, within a function of a step or the handler itself. */
function interpret(root: Tree, world: World, first: RunStep, top: string, manner: Manner): Promise<string> {
  let last = ""; // what branches depend on
  /** Expects an outcome to be that of the call. */
  const own = async (by: string, promise: Promise<unknown>): Promise<Made | undefined> => {
    try {
      const made = (await promise) as Made | undefined;
      world.expect(made === undefined || made.by === by, `${by} gets what ${made?.by} has made`);
      return made;
    } catch (error) {
      const { message, step } = error as Error & { readonly step?: string };
      if (step !== undefined && (error as Error).name !== "TimeoutError") world.expect(message === by, `${by} gets the failure of ${message}`);
      throw error;
    }
  };
  const all = (list: readonly Tree[], step: RunStep, at: string): Promise<string>[] => list.map((one, i) => run(one, step, `${at}.${i}`));
  const inTurn = async (list: readonly Tree[], step: RunStep, at: (i: number) => string): Promise<string> => {
    let text = "";
    for (const [i, one] of list.entries()) text += await run(one, step, at(i));
    return text;
  };
  const run = async (node: Tree, step: RunStep, at: string): Promise<string> => {
    const by = `${"id" in node ? node.id : ""}${at}`;
    const options = "keyed" in node && node.keyed ? { key: by } : {};
    switch (node.kind) {
      case "hops":
        await hops(node.n);
        return "";
      case "foreign":
        await pause(Math.random() * node.n);
        return "";
      case "step": {
        const made = await own(by, step(node.name, (context) => work(world, node, by, context, manner), { ...options, ...(node.policy === undefined ? {} : { sideEffect: node.policy }) }));
        return (last = made === undefined ? "skipped" : `${by}:${made.n}`);
      }
      case "sleep":
        await own(by, step.sleep(node.name, node.ms, options));
        return (last = `${by}:slept`);
      case "wait": {
        const made = await own(by, step.wait(node.name, { ...options, prompt: by, ...(node.timeout === undefined ? {} : { timeout: node.timeout }) }));
        return (last = `${by}:${made?.n}`);
      }
      case "nested": {
        const made = await own(
          by,
          step(
            node.name,
            async (context) => {
              await pause(Math.random() * node.before);
              const text = await interpret(node.body, world, context.step, `${at}/`, manner).catch(() => {
                throw new Error(by);
              });
              if (context.attempt <= node.fails) throw new Error(by);
              return { by, n: hash(text) % 4 };
            },
            options,
          ),
        );
        return (last = `${by}:${made?.n}`);
      }
      case "seq":
        return inTurn(node.list, step, (i) => `${at}.${i}`);
      case "loop":
        return inTurn(Array.from({ length: node.n }, () => node.body), step, (i) => `${at}.${i}`);
      case "recursion": {
        const down = async (n: number): Promise<string> => {
          if (n === 0) return "";
          await hops(1);
          return `${await run(node.body, step, `${at}.${n}`)}${await down(n - 1)}`;
        };
        return down(node.n);
      }
      case "try":
        try {
          return await run(node.body, step, `${at}.t`);
        } catch {
          return `caught ${await run(node.other, step, `${at}.c`)}`;
        }
      case "swallow":
        return run(node.body, step, at).catch(() => "swallowed");
      case "all":
        return (await Promise.all(all(node.list, step, at))).join();
      case "race":
        return Promise.race(all(node.list, step, at));
      case "any":
        return Promise.any(all(node.list, step, at));
      case "settled":
        return (await Promise.allSettled(all(node.list, step, at))).map((one) => one.status + (one.status === "fulfilled" ? one.value : "")).join();
      case "scope":
        return run(node.body, step.scope(node.name), at);
      case "branch": {
        const way = hash(last) % 2;
        return inTurn(node.list.slice(way, way + 1), step, () => `${at}.${way}`);
      }
      case "early": {
        // A step that runs beside, in a race that something else wins.
        const slow: Leaf = { ...node, kind: "step", latency: 60, fails: 0, terminal: false, flaky: false };
        const beside = own(by, step(node.name, (context) => work(world, slow, by, context, manner), options));
        return Promise.race([beside.then(() => "beside", () => "beside failed"), run(node.body, step, at)]);
      }
      case "coin": {
        const way = Math.random() < 0.5 ? 0 : 1;
        return inTurn(node.list.slice(way, way + 1), step, () => `${at}.${way}`);
      }
      case "shuffle": {
        const items = node.list.map((one, i) => [one, i] as const).sort(() => Math.random() - 0.5);
        if (node.parallel) return (await Promise.all(items.map(([one, i]) => run(one, step, `${at}.${i}`)))).join();
        let text = "";
        for (const [one, i] of items) text += await run(one, step, `${at}.${i}`);
        return text;
      }
    }
  };
  return run(root, first, top);
}

/** A random handler as a shape. People answer and decide after a while. */
export function randomShape(name: string, next: () => number, kind: Kind, heals = false): Shape {
  const tree = draw(next, kind);
  return {
    name,
    handler: (step, world) => interpret(tree, world, step, "", { heals, chance: kind === "nd" }),
    ends: [/./],
    varies: true,
    foreign: kind === "foreign",
    rehearses: kind !== "foreign",
    ...(kind === "det" ? {} : { unsure: kind === "foreign" ? "reported" : "silent" }),
    people: (conversation, { id, openSteps }, act) => {
      for (const { index, uncertain, waiting, due } of openSteps) {
        if (uncertain) act(`decide ${index}`, async () => (await pause(Math.random() * 30), conversation.resolveStep(id, index, "skip")));
        if (waiting?.for !== "answer" || (due !== undefined && hash(String(waiting.prompt)) % 3 > 0)) continue;
        act(`answer ${index}`, async () => {
          await pause(Math.random() * 40);
          await conversation.answer(id, index, { by: waiting.prompt as string, n: Math.floor(Math.random() * 4) });
        });
      }
    },
  };
}
