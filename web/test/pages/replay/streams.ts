// Steps whose output comes in parts.
import type { StepContext } from "@holdfast-dev/holdfast";
import { result, type Shape } from "./shape.js";
import { pause, type World } from "./world.js";

const tokens = Array.from({ length: 6 }, (_, i) => `token ${i} `);
const text = "Hello \u{1F332}\u{1F332}!";

/** Yields tokens, each of which costs, from a place on. */
async function* produce(world: World, from: number): AsyncGenerator<string> {
  for (const token of tokens.slice(from)) {
    world.call(token);
    yield token;
    await pause(60); // there are some commits in between
  }
}

/** Cuts a text where it comes. */
async function* typed(from: number): AsyncGenerator<string> {
  for (let at = from; at < text.length; at += 7 - (at % 7)) {
    yield text.slice(at, at + 7 - (at % 7));
    await pause(110);
  }
}

const length = ({ chunks }: StepContext): number => chunks.join("").length;

export const streams: readonly Shape[] = [
  {
    name: "a stream that begins anew",
    handler: async (step, world) => [await step.stream("write", () => produce(world, 0)), await step("end", world.does("end"))],
    ends: [result([tokens.join(""), "end"])],
  },
  {
    name: "a stream that resumes",
    handler: async (step, world) => {
      const written = await step.stream("write", ({ chunks }) => (world.expect(chunks.join("") === tokens.slice(0, chunks.length).join(""), `chunks are ${chunks.join()}`), produce(world, chunks.length)), { resume: true });
      return [written, await step("end", world.does("end"))];
    },
    ends: [result([tokens.join(""), "end"])],
    resumes: true,
  },
  {
    name: "a stream that fails, and resumes where it was",
    handler: (step, world) =>
      step.stream(
        "write",
        async function* ({ chunks, attempt }) {
          for await (const token of produce(world, chunks.length)) {
            yield token;
            if (attempt === 1 && token === tokens[3]) throw new Error("cut");
          }
        },
        { resume: true, maxAttempts: 9 },
      ),
    ends: [result(tokens.join(""))],
    resumes: true,
    varies: true,
    again: /^token [2-4]/, // what was not committed when it failed
  },
  {
    name: "chunks that are no text",
    handler: (step) =>
      step.stream("list", async function* ({ chunks }) {
        for (let i = chunks.length; i < 3; i++) {
          yield { i };
          await pause(110);
        }
      }, { resume: true }),
    ends: [result([{ i: 0 }, { i: 1 }, { i: 2 }])],
  },
  ...[false, true].map(
    (resume): Shape => ({
      name: `chunks that end within a character${resume ? ", and resume" : ""}`,
      handler: async (step) => [await step.stream("type", (context) => typed(resume ? length(context) : 0), { resume }), await step("cut", () => text.slice(0, 7))],
      ends: [result([text, "Hello \u{fffd}"])],
    }),
  ),
  {
    name: "half a character at the end",
    handler: (step) => step.stream("type", () => new Blob([]).stream().pipeThrough(new TransformStream<unknown, string>({ flush: (to) => to.enqueue(text.slice(0, 7)) }))),
    ends: [result("Hello \u{fffd}")],
  },
];
