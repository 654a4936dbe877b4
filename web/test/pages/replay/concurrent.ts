// Shapes in which several things are under way.
import type { HoldfastError, RunStep } from "@holdfast-dev/holdfast";
import { hops, result, type Shape } from "./shape.js";
import { pause, type World } from "./world.js";

const items = ["a", "b", "c"];

/** Chains of steps for items that do not get their answers in the order in which they were asked. */
const chains = (length: number, keyed: boolean, delays: readonly number[]): Shape => ({
  name: `Promise.all over chains of ${length}, ${keyed ? "with" : "without"} keys, ${delays.join()} ms`,
  handler: (step, world) =>
    Promise.all(
      items.map(async (item, i) => {
        let text = item;
        for (let n = 0; n < length; n++) text += await step(`stage ${n}`, world.does(`${item}${n}`, { ms: delays[(i + n) % delays.length] ?? 0 }), keyed ? { key: item } : {});
        return text;
      }),
    ),
  ends: [result(items.map((item) => item + Array.from({ length }, (_, n) => `${item}${n}`).join("")))],
});

export const parallel: readonly Shape[] = [
  ...[1, 2, 3].flatMap((length) => [true, false].flatMap((keyed) => [[12, 6, 0], [0, 9, 3], [0, 0, 0]].map((delays) => chains(length, keyed, delays)))),
  {
    name: "allSettled over chains, one of which fails, and a retry",
    handler: async (step, world) => {
      const all = await Promise.allSettled(
        items.map(async (item, i) => {
          await step("fetch", world.does(`fetch ${item}`, { ms: [9, 2, 14][i] ?? 0, fails: item === "b" ? 1 : 0, terminal: true }));
          return step("sum", world.does(`sum ${item}`));
        }),
      );
      return all.map((one) => {
        if (one.status === "rejected") throw one.reason;
        return one.value;
      });
    },
    retry: {},
    ends: [result(items.map((item) => `sum ${item}`))],
    varies: true,
    again: /^(sum|fetch)/, // what was counted after the failure may mean something else
  },
];

export const races: readonly Shape[] = [
  {
    name: "a race",
    handler: async (step, world) => {
      const winner = await Promise.race([step("slow", world.does("slow", { ms: 30 })), step("quick", world.does("quick", { ms: 2 }))]);
      return [winner, await step("use", world.does(`use ${winner}`, { ms: 5 }))];
    },
    ends: ["quick", "slow"].map((winner) => result([winner, `use ${winner}`])),
    varies: true,
  },
  {
    name: "a race with a loser that never ends",
    handler: async (step, world) => {
      const winner = await Promise.race([step("stuck", world.does("stuck", { hangs: 99 })), step("quick", world.does("quick"))]);
      return [winner, await step("use", world.does(`use ${winner}`))];
    },
    ends: [result(["quick", "use quick"])],
  },
  {
    name: "a race of a helper with a step",
    handler: async (step, world) => {
      const helper = async (): Promise<string> => {
        await hops(2);
        return step("helper", world.does("helper", { ms: 2 }));
      };
      const winner = await Promise.race([step("plain", world.does("plain", { ms: 20 })), helper()]);
      await step("later", world.does("later", { ms: 25 }));
      return step(`use ${winner}`, world.does(`use ${winner}`));
    },
    ends: [result("use helper"), result("use plain")],
    varies: true,
  },
  // A replay refuses it at the same place: before all outcomes, also those that are stored.
  ...([{ key: "call" }, { sideEffect: "rerun" }] as const).map(
    (options): Shape => ({
      name: `a race with a call that is refused beside another one, ${JSON.stringify(options)}`,
      handler: async (step, world) => {
        const one = step("tool", world.does("one", { ms: 5 }), options);
        const refused = step("tool", world.does("other"), "key" in options ? options : { sideEffect: "skip" }).catch(({ code }: HoldfastError) => code);
        const winner = await Promise.race([one, refused]);
        return [winner, await step("note", world.does(`note of ${winner}`)), await step("note", world.does("next note")), await one];
      },
      ends: [result(["invalid_argument", "note of invalid_argument", "next note", "one"])],
    }),
  ),
  {
    name: "any, with one that fails",
    handler: async (step, world) => {
      const winner = await Promise.any([step("down", world.does("down", { fails: 9 }), { maxAttempts: 1 }), step("up", world.does("up", { ms: 4 }))]);
      return [winner, await step("use", world.does(`use ${winner}`))];
    },
    ends: [result(["up", "use up"])],
  },
  {
    name: "any, of which all fail",
    handler: (step, world) => Promise.any(items.map((item) => step("down", world.does(item, { fails: 9, terminal: true }), { key: item }))),
    ends: [/^failed: AggregateError: .*a.*b.*c/s],
  },
  {
    name: "allSettled",
    handler: async (step, world) => {
      const all = await Promise.allSettled([step("down", world.does("down", { fails: 9, ms: 3 }), { maxAttempts: 1 }), step("up", world.does("up"))]);
      return [...all.map(({ status }) => status), await step("end", world.does("end"))];
    },
    ends: [result(["rejected", "fulfilled", "end"])],
  },
  ...[5, 60].map(
    (ms): Shape => ({
      name: `a timeout by a race with a sleep of ${ms} ms`,
      handler: async (step, world) => {
        const winner = await Promise.race([step("work", world.does("work", { ms: 30 })), step.sleep("timeout", ms).then(() => "too late")]);
        return [winner, await step("use", world.does(`use ${winner}`))];
      },
      ends: ["work", "too late"].map((winner) => result([winner, `use ${winner}`])),
      varies: true,
    }),
  ),
];

const agent = async (step: RunStep, world: World, name: string, turns: number): Promise<string> => {
  let text = name;
  for (let turn = 0; turn < turns; turn++) {
    text += await step("llm", world.does(`${name}${turn}`, { ms: (turn * 5) % 7 }));
    text += await step("tool", world.does(`${name}${turn}t`, { ms: (turn * 3) % 4 }));
  }
  return text;
};

export const scopes: readonly Shape[] = [
  {
    name: "sub-agents in scopes, of different length",
    handler: (step, world) => Promise.all([1, 3, 2].map((turns, i) => agent(step.scope(`agent ${i}`), world, items[i] ?? "", turns))),
    ends: [result(["aa0a0t", "bb0b0tb1b1tb2b2t", "cc0c0tc1c1t"])],
  },
  {
    name: "sub-agents within steps",
    handler: (step, world) => Promise.all(items.map((item, i) => step("agent", ({ step: inner }) => agent(inner, world, item, i + 1), { key: item }))),
    ends: [result(["aa0a0t", "bb0b0tb1b1t", "cc0c0tc1c1tc2c2t"])],
  },
  {
    name: "two scopes of one name are one, a name may have slashes, and a scope is no step",
    handler: async (step, world) => [
      await step.scope("s")("x", world.does("first")),
      await step.scope("s")("x", world.does("second")),
      await step("s/x", world.does("third")),
      await step("s", world.does("fourth")),
      await step("s:", ({ step: inner }) => inner("x", world.does("fifth"))),
      await step("x#0", world.does("sixth")),
    ],
    ends: [result(["first", "second", "third", "fourth", "fifth", "sixth"])],
  },
];

const digest = async (text: string): Promise<number> => new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)))[0] ?? 0;

const script = "data:text/javascript,export {}";

export const foreign: readonly Shape[] = [
  {
    name: "waits for what is no step, one after the other",
    handler: async (step, world) => {
      const text: unknown[] = [await digest("x"), await step("a", world.does("a"))];
      await pause(1);
      text.push(await step("b", world.does("b")));
      await import(/* @vite-ignore */ script);
      text.push(await step("c", world.does("c")), (await new Response("body").text()).length);
      return [...text, await step("c", world.does("d"))];
    },
    ends: [/^\[\d+,"a","b","c",4,"d"\]$/],
    foreign: true,
  },
  {
    name: "waits for what is no step at the same time, with keys",
    handler: (step, world) =>
      Promise.all(
        items.map(async (item, i) => {
          await pause(world.life % 2 === 0 ? i * 4 : 8 - i * 4);
          await step("fetch", world.does(`fetch ${item}`), { key: item });
          await digest(item);
          return step("sum", world.does(`sum ${item}`), { key: item });
        }),
      ),
    ends: [result(items.map((item) => `sum ${item}`))],
    foreign: true,
  },
  {
    name: "a long wait for what is no step, beside a step",
    handler: async (step, world) => {
      const fetched = async (): Promise<string> => {
        await pause(1300);
        return step("sum", world.does("sum", { ms: 10 }));
      };
      return [...(await Promise.all([step("slow", world.does("slow", { ms: 1400 })), fetched()])), await step("last", world.does("last"))];
    },
    ends: [result(["slow", "sum", "last"])],
    foreign: true,
  },
  {
    name: "a race of a step with one after a digest",
    handler: async (step, world) => {
      const hashed = async (): Promise<string> => {
        await digest("x");
        await pause(world.life === 0 ? 0 : 8);
        return step("hashed", world.does("hashed", { ms: 2 }));
      };
      const winner = await Promise.race([step("plain", world.does("plain", { ms: 30 })), hashed()]);
      return [winner, await step("later", world.does("later", { ms: 40 })), await step(`use ${winner}`, world.does(`use ${winner}`))];
    },
    ends: ["plain", "hashed"].map((winner) => result([winner, "later", `use ${winner}`])),
    foreign: true,
    varies: true,
  },
  {
    name: "a wait for what is no step, which takes longer in a replay than that waits for it",
    handler: async (step, world) => {
      const first = Promise.withResolvers<unknown>();
      const second = Promise.withResolvers<unknown>();
      const waited = async (): Promise<string> => {
        if (world.life > 0) await second.promise.then(() => pause(0)); // it takes as long as it has to
        return step("waited", world.does("waited"), { key: "waited" });
      };
      const plain = async (): Promise<string> => {
        if (world.life === 0) await first.promise;
        return world.does("plain")();
      };
      await Promise.all([waited().then(first.resolve), step("plain", plain).then(second.resolve)]);
      return step("last", world.does("last"));
    },
    ends: [result("last")],
    foreign: true,
    varies: true,
    unsure: "reported",
  },
  // Also where the first of them comes out of such a wait, as well.
  ...[false, true].map(
    (busy): Shape => ({
      name: `waits for what is no step at the same time, without keys${busy ? ", while a step is under way" : ""}`,
      handler: async (step, world) => {
        const slow = busy ? step("slow", world.does("slow", { ms: 150 })) : undefined;
        const sums = await Promise.all(
          items.map(async (item, i) => {
            await pause(3 + i * 40); // in tasks of their own, also under load
            return step("sum", world.does(item, { ms: 300 }));
          }),
        );
        await slow;
        return sums;
      },
      ends: [result(items), /^failed: .*step_mismatch/], // it was told so in the first life
      foreign: true,
      varies: true,
      reports: /step_mismatch: (the calls of sum come out of waits for something that is no step.*give them keys|step sum )/,
      told: true,
    }),
  ),
];
