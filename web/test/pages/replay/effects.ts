// Side effects: what is done twice, and what is not.
import type { StepContext, StepOptions } from "@holdfast-dev/holdfast";
import { result, type Shape } from "./shape.js";
import { pause, type World } from "./world.js";

type Trouble = "goes well" | "throws" | "fails for good" | "takes too long";
type Policy = NonNullable<StepOptions["sideEffect"]>;
type Choice = "rerun" | "skip";

const late = 60;

/** Pays, which the first time is troublesome. */
const pay = (world: World, trouble: Trouble) => async ({ uncertain, idempotencyKey }: StepContext): Promise<string> => {
  const count = world.call("pay");
  world.same("the idempotency key", idempotencyKey);
  if (trouble !== "takes too long" || count > 1) await pause(3);
  else await pause(2 * late);
  if (count > 1) return uncertain ? "paid again" : "paid anew";
  if (trouble === "throws") throw new Error("pay");
  if (trouble === "fails for good") throw new world.package.TerminalError("pay");
  return "pay";
};

const decides = (choice: Choice | undefined, ms: number): Pick<Shape, "people"> => ({
  people: (conversation, { id, openSteps }, act) => {
    const [doubted] = openSteps.filter(({ uncertain }) => uncertain);
    if (choice !== undefined && doubted !== undefined) act("decide", async () => (await pause(ms), conversation.resolveStep(id, doubted.index, choice)));
  },
});

/** What comes of a payment: without a kill, or at worst. */
function endsOf(trouble: Trouble, policy: Policy, choice: Choice | undefined): string[] {
  const failed = trouble === "fails for good" ? "TerminalError: pay" : undefined;
  const doubted = policy === "rerun" ? "paid again" : policy === "skip" || choice === "skip" ? "unknown" : "paid anew";
  return [trouble === "goes well" ? "pay" : (failed ?? doubted), doubted].map((paid) => result(["before", paid, "after"]));
}

function effect(trouble: Trouble, policy: Policy, choice: Choice | undefined, ms: number): Shape {
  return {
    name: `a payment that ${trouble}: ${policy}${choice === undefined ? "" : `, decided ${choice} after ${ms} ms`}`,
    handler: async (step, world) => {
      const before = await step("before", world.does("before"));
      const options = { sideEffect: policy, maxAttempts: 9, ...(trouble === "takes too long" ? { timeout: late } : {}) };
      const paid = await step("pay", pay(world, trouble), options).catch(String);
      return [before, (paid as string | undefined) ?? "unknown", await step("after", world.does("after"))];
    },
    ends: endsOf(trouble, policy, choice),
    varies: true,
    ...(policy === "rerun" ? {} : { careful: "pay" }),
    ...decides(choice, ms),
  };
}

/** A payment that was made, and then a step that fails for good. */
const retried = (name: string, retry: NonNullable<Shape["retry"]>, choice: Choice, paid: string): Shape => ({
  name,
  handler: async (step, world) => {
    const before = await step("before", world.does("before"));
    const done = (await step("pay", async ({ idempotencyKey }) => {
      const count = world.call("pay");
      // What was forgotten on purpose is another payment.
      if (count === 1 || retry.from === undefined) world.same("the idempotency key", idempotencyKey);
      else world.expect(/^[0-9a-f]{32}$/.test(idempotencyKey), `the key ${idempotencyKey}`);
      return count === 1 ? "pay" : "paid anew";
    }, { sideEffect: "ask" })) as string | undefined;
    return [before, done ?? "unknown", await step("after", world.does("after", { fails: 1, terminal: true }))];
  },
  retry,
  ends: ["pay", paid, choice === "skip" ? "unknown" : "paid anew"].map((end) => result(["before", end, "after"])),
  varies: true,
  careful: "pay",
  ...decides(choice, 0),
});

/** A payment that somebody takes for done while it is tried again, and another step that ends just after that. */
const takenForDone = (then: "does not end" | "fails"): Shape => ({
  name: `a payment that is taken for done while it is tried again, which ${then}`,
  handler: async (step, world, { message: { id } }) => {
    const decided = Promise.withResolvers<void>();
    const pay = async ({ signal }: StepContext): Promise<string> => {
      if (world.call("pay") === 1) throw new Error("pay");
      const open = world.conversation?.state.message(id)?.openSteps.find(({ name }) => name === "pay");
      if (open !== undefined) void world.conversation?.resolveStep(id, open.index, "skip");
      decided.resolve();
      await pause(0);
      if (then === "fails") throw new Error("pay");
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    };
    const seen: string[] = [];
    const others = ["first", "second", "third"].map((name) => step(name, () => (world.life === 0 ? decided.promise : undefined)).then(() => seen.push(name)));
    const paid = step("pay", pay, { sideEffect: "rerun", maxAttempts: 9 });
    await Promise.all([...others, paid.then(() => seen.push("paid"))]);
    return [seen.length, await step(`use ${seen.join()}`, world.does("use"))];
  },
  ends: [result([4, "use"])],
  varies: true,
});

export const effects: readonly Shape[] = [
  takenForDone("does not end"),
  takenForDone("fails"),
  ...(["goes well", "throws", "fails for good", "takes too long"] as const).flatMap((trouble) => [
    effect(trouble, "rerun", undefined, 0),
    effect(trouble, "skip", undefined, 0),
    effect(trouble, "ask", "skip", 0),
    effect(trouble, "ask", "rerun", 0),
  ]),
  effect("throws", "ask", "rerun", 1300), // it is parked
  retried("a payment, and a retry of what failed after it", {}, "skip", "pay"),
  retried("a payment, and a retry from it, decided skip", { from: "pay" }, "skip", "unknown"),
  retried("a payment, and a retry from it, decided rerun", { from: "pay" }, "rerun", "paid anew"),
];
