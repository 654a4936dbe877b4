// Shapes in which one thing comes after the other.
import type { RunStep } from "@holdfast-dev/holdfast";
import { hops, result, type Shape } from "./shape.js";
import { pause, type World } from "./world.js";

export const sequences: readonly Shape[] = [
  {
    name: "a sequence",
    handler: async (step, world) => [await step("plan", world.does("plan")), await step("search", world.does("search", { ms: 5 })), await step("write", world.does("write"))],
    ends: [result(["plan", "search", "write"])],
  },
  {
    name: "a loop with one name",
    handler: async (step, world) => {
      const turns: string[] = [];
      for (let turn = 0; turn < 4; turn++) turns.push(await step("turn", world.does(`turn ${turn}`)));
      return turns;
    },
    ends: [result([0, 1, 2, 3].map((turn) => `turn ${turn}`))],
  },
  {
    name: "a loop with keys, one of which is used again",
    handler: async (step, world) => {
      const turns: string[] = [];
      for (const [i, key] of ["x", "y", "x"].entries()) turns.push(await step("tool", world.does(`tool ${i}`), { key }));
      return turns;
    },
    ends: [result(["tool 0", "tool 1", "tool 2"])],
  },
  {
    name: "recursion through helpers",
    handler: async (step, world) => {
      const visit = async (node: string): Promise<string> => {
        const text = await step("visit", world.does(node));
        const below = node.length < 3 ? await Promise.all([visit(`${node}l`), visit(`${node}r`)]) : [];
        return `${text}(${below.join()})`;
      };
      return visit("n");
    },
    ends: [result("n(nl(nll(),nlr()),nr(nrl(),nrr()))")],
  },
  {
    name: "helpers with more awaits than others",
    handler: async (step, world) => {
      const begin = step("begin", world.does("begin"));
      const deep = async (): Promise<string> => {
        await begin;
        await hops(7);
        return step("x", world.does("deep", { ms: 20 }));
      };
      const flat = async (): Promise<string> => {
        await begin;
        await step("flat", world.does("flat", { ms: 8 }));
        return step("x", world.does("flat x", { ms: 20 }));
      };
      return Promise.all([deep(), flat()]);
    },
    ends: [result(["deep", "flat x"])],
  },
  {
    name: "outcomes one after the other, and helpers with more awaits than others",
    handler: async (step, world) => {
      const helper = async (name: string, ms: number, more: number): Promise<string> => {
        await step(name, world.does(name, { ms }));
        await hops(more);
        return step("x", world.does(`x of ${name}`, { ms: 10 }));
      };
      return Promise.all([helper("third", 24, 0), helper("second", 12, 4), helper("first", 0, 8)]);
    },
    ends: [result(["x of third", "x of second", "x of first"])],
  },
];

/** A model that is down in the first call, another one in its place, and more work after that. */
const fallback = (names: readonly [string, string, string]): Shape["handler"] => async (step, world) => {
  const [primary, second, polish] = names;
  let draft: string;
  try {
    draft = await step(primary, world.does("primary", { fails: 1 }), { maxAttempts: 1 });
  } catch {
    draft = await step(second, world.does("fallback"));
  }
  return `${await step(polish, world.does("polish"))} of ${draft}`;
};

export const failures: readonly Shape[] = [
  // The primary works in its second call: after a crash before its failure was stored.
  ...[["primary", "fallback", "polish"] as const, ["llm", "llm", "llm"] as const].map(
    (names): Shape => ({ name: `a fallback, ${names.join()}`, handler: fallback(names), ends: [result("polish of fallback"), result("polish of primary")], varies: true }),
  ),
  {
    name: "a fallback, and then a retry of what failed for good",
    handler: async (step, world) => {
      const draft = await step("llm", world.does("primary", { fails: 9 }), { maxAttempts: 1 }).catch(() => step("llm", world.does("fallback")));
      const title = await step("llm", world.does("title"));
      await step("llm", world.does("store", { fails: 1, terminal: true }));
      return [draft, title];
    },
    retry: {},
    ends: [result(["fallback", "title"])],
    varies: true,
  },
  {
    name: "a failure whose clean-up has a key, and a retry",
    handler: async (step, world) => {
      let ended = 0;
      try {
        const done = await step("work", () => world.does("work", { fails: 1, terminal: true })().finally(() => (ended = Date.now())));
        // The clean-up, which is stored, is not called this time: nothing waits for it.
        world.expect(world.life > 0 || ended === 0 || Date.now() - ended < 800, `the outcome comes after ${Date.now() - ended} ms`);
        return done;
      } catch (error) {
        await step("clean up", world.does("clean up"), { key: "k" });
        throw error;
      }
    },
    retry: {},
    ends: [result("work")],
    varies: true,
  },
  {
    name: "failed attempts",
    handler: (step, world) => step("flaky", world.does("flaky", { fails: 2 }), { maxAttempts: 9 }),
    ends: [result("flaky")],
    varies: true,
  },
  {
    name: "a failure that ends the message",
    handler: async (step, world) => [await step("first", world.does("first")), await step("hopeless", world.does("hopeless", { fails: 99 }))],
    ends: ["failed: Error: hopeless"],
  },
  {
    name: "what was thrown in a step goes on as another error",
    handler: async (step, world) => {
      try {
        return await step("down", world.does("down", { fails: 9, terminal: true }));
      } catch (cause) {
        throw new TypeError("no answer", { cause });
      }
    },
    ends: ["failed: TypeError: no answer; caused by TerminalError: down"],
  },
];

/** What a function may do before it calls the outer step: then nobody can tell where that call comes from. */
const before: Readonly<Record<string, (inner: RunStep, world: World) => Promise<unknown>>> = {
  "a timer": () => pause(5),
  "a microtask": () => Promise.resolve(),
  "a step within it": (inner, world) => inner("look", world.does("look")),
  "a step within it that fails": (inner, world) => inner("look", world.does("look", { fails: 9, terminal: true })).catch(() => undefined),
};

export const nested: readonly Shape[] = [
  {
    name: "steps within steps by context.step",
    handler: async (step, world) => {
      const facts = await step("llm", async ({ step: inner }) => {
        const query = await inner("llm", async ({ step: innermost }) => {
          const word = await innermost("llm", world.does("word"));
          return `query for ${word}`;
        });
        return `facts from ${query} and ${await inner("llm", world.does("more"))}`;
      });
      return `${await step("llm", world.does("answer"))} from ${facts}`;
    },
    ends: [result("answer from facts from query for word and more")],
  },
  {
    name: "a step within another one by the outer step",
    handler: async (step, world, { step: unwatched }) => {
      const facts = await step("llm", async () => `facts from ${await unwatched("llm", world.does("query"))}`);
      return `${await step("llm", world.does("answer"))} from ${facts}`;
    },
    ends: [/^failed: .*invalid_argument.*use context\.step/],
  },
  {
    name: "a step within one within another, by the outermost step",
    handler: (step, world, { step: unwatched }) => step("outer", ({ step: inner }) => inner("inner", () => unwatched("llm", world.does("query")))),
    ends: [/^failed: .*invalid_argument.*use context\.step/],
  },
  ...Object.entries(before).flatMap(([what, first]) =>
    (what === "a timer" ? [[], ["scoped"], ["late"]] : [[]]).map((how): Shape => {
      const place = (step: RunStep): RunStep => (how.includes("scoped") ? step.scope("s") : step);
      return {
        name: ["a step within another one by the outer step, and its name again, after", what, ...how].join(" "),
        handler: async (step, world, { step: unwatched }) => {
          const facts = await step("research", async ({ step: inner }) => {
            await first(inner, world);
            return `facts from ${await place(unwatched)("llm", world.does("query"))}`;
          });
          if (how.includes("late")) await pause(5);
          return `${await place(step)("llm", world.does("answer"))} from ${facts}`;
        },
        ends: [result("answer from facts from query"), /^failed: .*step_mismatch/],
        foreign: true,
        varies: true,
        reports: /step_mismatch/,
        told: !how.includes("scoped"), // else the names are used once in each
      };
    }),
  ),
  {
    name: "a step that is tried again, in which a wait for something else goes beside a step",
    handler: (step, world) =>
      step(
        "outer",
        async ({ step: inner, attempt }) => {
          const late = async (): Promise<string> => {
            await pause(attempt === 1 ? 8 : 40);
            return inner("late", world.does("late"));
          };
          const all = await Promise.all([inner("slow", world.does("slow", { ms: 60 })), late()]);
          if (world.call("after both") === 1) throw new Error("once more");
          return [...all, await inner("use", world.does("use"))];
        },
        { maxAttempts: 9 },
      ),
    ends: [result(["slow", "late", "use"])],
    foreign: true,
    varies: true,
  },
  {
    name: "an outer step that fails after an inner one, and is tried again",
    handler: async (step, world) => {
      const outer = await step("outer", async ({ step: inner }) => {
        const text = await inner("inner", world.does("inner"));
        if (world.call("after inner") === 1) throw new Error("once more");
        return `outer of ${text}`;
      });
      return [outer, await step("inner", world.does("last"))];
    },
    ends: [result(["outer of inner", "last"])],
    varies: true,
  },
  {
    name: "an outer step that takes too long after an inner one",
    handler: (step, world) =>
      step(
        "outer",
        async ({ step: inner }) => {
          const text = await inner("inner", world.does("inner"));
          return `${await world.does("rest", { hangs: 1 })()} of ${text}`;
        },
        { timeout: 150, maxAttempts: 9 },
      ),
    ends: [result("rest of inner")],
    varies: true,
  },
  {
    name: "an outer step whose inner one fails for good",
    handler: async (step, world) => {
      const outer = await step("outer", ({ step: inner }) => inner("inner", world.does("inner", { fails: 9, terminal: true }))).catch(String);
      return [outer, await step("end", world.does("end"))];
    },
    ends: [result(["TerminalError: inner", "end"])],
  },
  {
    name: "an outer step that fails for good, and is retried, with what had failed within it",
    handler: (step, world) =>
      step("outer", async ({ step: inner }) => {
        const first = await inner("first", world.does("first"));
        return [first, await inner("second", world.does("second", { fails: 1, terminal: true }))];
      }),
    retry: {},
    ends: [result(["first", "second"])],
    varies: true,
  },
];
