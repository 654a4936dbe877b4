// One life of a handler: it works on the message of a conversation until that is over, and what it sees is noted.
import type { Conversation, ConversationEvent, RunStep } from "@holdfast-dev/holdfast";
import type { Shape } from "./shape.js";
import { pause, type World } from "./world.js";

/** A call of a step or its outcome, as the handler has seen it. */
export interface Seen {
  readonly what: string;
  /** Which call of the handler it was. */
  readonly handling: number;
  /** How many events the log had. */
  readonly at: number;
}

export interface Life {
  readonly seen: readonly Seen[];
  readonly events: readonly ConversationEvent[];
  /** The result, or the text of the error. */
  readonly end: string;
  /** What `onError` has heard. */
  readonly reported: readonly string[];
  readonly faults: readonly string[];
}

const deadline = 30_000;

/** The message that handlers work on. */
export const id = "m";

/** Notes what a handler sees of its steps. */
function watched(step: RunStep, scope: string, note: (what: string) => void): RunStep {
  const see = <T>(name: string, key: string | undefined, promise: Promise<T>): Promise<T> => {
    const called = `${scope}${name}${key === undefined ? "" : `=${key}`}`;
    note(`call ${called}`);
    promise.then(
      (value) => note(`${called} gives ${JSON.stringify(value)}`),
      (error: unknown) => note(`${called} throws ${String(error)}`),
    );
    return promise;
  };
  return Object.assign(<T>(...[name, fn, options]: Parameters<typeof step<T>>) => see(name, options?.key, step<T>(name, fn, options)), {
    stream: ((...[name, fn, options]: Parameters<RunStep["stream"]>) => see(name, options?.key, step.stream(name, fn, options))) as RunStep["stream"],
    wait: <T>(...[name, options]: Parameters<RunStep["wait"]>) => see(name, options?.key, step.wait<T>(name, options)),
    sleep: (...[name, until, options]: Parameters<RunStep["sleep"]>) => see(name, options?.key, step.sleep(name, until, options)),
    scope: (name: string) => watched(step.scope(name), `${scope}${name}/`, note),
  });
}

/** Lets a handler work until its message is over, or the log has so many events. */
export async function live(conversation: Conversation, shape: Shape, world: World, most = Infinity): Promise<Life> {
  const seen: Seen[] = [];
  const acting = new Set<string>();
  const reported: string[] = [];
  let handlings = 0;
  let working = 0;
  world.conversation = conversation;
  const act = (what: string, doing: () => Promise<unknown>): void => {
    if (acting.has(what)) return;
    acting.add(what);
    doing().then(
      () => acting.delete(what),
      (error: unknown) => world.faults.push(`${what}: ${String(error)}`),
    );
  };
  let retries = shape.retry !== undefined && !(await conversation.events()).some(({ kind }) => kind === "message_retried");
  const isOver = (): boolean => {
    const message = conversation.state.message(id);
    if (message === undefined) return false;
    shape.people?.(conversation, message, act, world);
    if (conversation.expectedSeq >= most) return true;
    if (message.status !== "failed" || !retries) return message.status === "finished" || message.status === "failed";
    retries = false;
    const from = message.steps.find(({ name }) => name === shape.retry?.from)?.index;
    act("retry", () => conversation.retry(id, from === undefined ? {} : { from }));
    return false;
  };
  const stop = conversation.process(
    async (work) => {
      const handling = handlings++;
      const note = (what: string): void => {
        if (work.signal.aborted) return;
        seen.push({ what, handling, at: conversation.expectedSeq });
        world.onSee(what);
      };
      world.expect(++working === 1, "the handler is called twice at once");
      note("begin");
      try {
        return await shape.handler(watched(work.step, "", note), world, work);
      } finally {
        working--;
      }
    },
    {
      ...{ maxAttempts: 3, backoff: { initial: 2, max: 4 }, rehearse: world.life === 0 && (shape.rehearses ?? shape.foreign !== true) },
      ...{ onError: (error) => void reported.push(error.message), ...shape.options },
    },
  );
  const over = Promise.withResolvers<true>();
  const unsubscribe = conversation.subscribe(() => isOver() && over.resolve(true));
  if (isOver()) over.resolve(true);
  const ended = await Promise.race([over.promise, pause(deadline)]);
  unsubscribe();
  world.expect(ended === true, `it is stuck: ${JSON.stringify(conversation.state.message(id))}`);
  await stop();
  const message = conversation.state.message(id);
  world.expect(shape.told !== true || world.life > 0 || reported.length === 1, `onError hears ${reported.length} times`);
  for (const report of reported) world.expect(isExpected(shape, report), `onError hears: ${report}`);
  const end = message?.status === "finished" ? (JSON.stringify(message.result) ?? "undefined") : `${message?.status}: ${message?.error}`;
  return { seen, events: await conversation.events(), end, reported, faults: world.faults };
}

function isExpected({ reports, unsure }: Shape, report: string): boolean {
  return reports?.test(report) === true || (unsure !== undefined && report.includes("step_mismatch"));
}
