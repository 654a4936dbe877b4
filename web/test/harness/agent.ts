// An agent that answers messages the way an application would, and that can be stopped between any two events.
import type { Decision } from "@holdfast-dev/holdfast";
import { brief, log, messages, type Tab } from "./tab.js";
import { expect } from "./test.js";

export const steps = 6;

/** The log of a message that was answered: each event once, however often the agent was interrupted. */
export const answered: readonly string[] = ["received", "started", ...Array.from({ length: steps }, (_, i) => `step ${i}`), "finished"];

/** What a delivery must find if `events` events of the message are in the log. */
export function decisionAfter(events: number): Decision {
  if (events === 0) return { kind: "start" };
  if (events === answered.length) return { kind: "skip" };
  return { kind: "resume", step: Math.max(0, events - 2) };
}

export interface Shift {
  /** How many events the agent may append before it stops. Default: as many as it takes. */
  readonly events?: number;
  /** Whether it then begins one more append, which nobody waits for. */
  readonly begin?: boolean;
}

export interface Report {
  readonly decision: Decision | undefined;
  /** The steps whose work was done: a model was called, money was spent. */
  readonly worked: readonly number[];
  /** How many appends were acknowledged, here, outside the browser. */
  readonly acknowledged: number;
}

/** Delivers the one message of a conversation to the agent of a tab. */
export async function deliver(tab: Tab, { events = Infinity, begin = false }: Shift = {}): Promise<Report> {
  return await tab.evaluate(
    async ({ conversation }, { limit, more, total }) => {
      const id = "question";
      const worked: number[] = [];
      let acknowledged = 0;
      let decision: Decision | undefined;
      const report = (): { decision: Decision | undefined; worked: number[]; acknowledged: number } => ({ decision, worked, acknowledged });
      // Returns whether the agent may go on.
      const record = async (append: () => Promise<unknown>): Promise<boolean> => {
        if (acknowledged < limit) {
          await append();
          acknowledged++;
          return true;
        }
        if (more) void append();
        return false;
      };

      const receive = async (): Promise<void> => {
        decision = await conversation.receiveMessage({ id, body: "how deep is the sea?", receivedAt: 1 });
      };
      if (conversation.state.isReceived(id)) await receive();
      else if (!(await record(receive))) return report();
      if (decision?.kind === "skip") return report();
      if (!conversation.state.isInProgress(id) && !(await record(() => conversation.recordProcessingStarted(id)))) return report();
      for (let step = decision?.kind === "resume" ? decision.step : 0; step < total; step++) {
        if (acknowledged < limit) worked.push(step);
        if (!(await record(() => conversation.recordStepCompleted(id, step, { step, text: `answer ${step}` })))) return report();
      }
      await record(() => conversation.recordProcessingFinished(id));
      return report();
    },
    { limit: events, more: begin, total: steps },
  );
}

/** The log of a conversation with one message, in words. */
export async function story(tab: Tab): Promise<string[]> {
  return (await log(tab)).map(brief);
}

/** The message was answered: its log is as if nobody had ever interrupted, and no output is missing. */
export async function expectAnswered(tab: Tab): Promise<void> {
  expect(await story(tab)).toEqual(answered);
  expect(await messages(tab)).toEqual([
    {
      id: "question",
      receivedAt: 1,
      body: "how deep is the sea?",
      status: "finished",
      steps: Array.from({ length: steps }, (_, step) => ({ index: step, output: { step, text: `answer ${step}` } })),
      error: undefined,
    },
  ]);
}
