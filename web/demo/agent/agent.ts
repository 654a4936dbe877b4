// The built-in agent: six steps that need no network and give the same output for the same input.
import type { Storable } from "@holdfast-dev/holdfast";
import type { AgentStep, StepInput } from "../process.js";
import { compute, detect } from "./compute.js";
import { draft, polish } from "./write.js";
import { keyWordsIn, sentencesIn, wordsIn } from "./words.js";

/** How long each step takes, on purpose: long enough to see it, and to crash in the middle of it. */
export const STEP_MILLISECONDS = 1000;

const maxKeyWords = 5;

/** The outputs have a `line`, which the page shows, and what later steps need. */
export const steps: readonly AgentStep[] = [
  { name: "read", run: slowly(({ text }) => read(text)) },
  { name: "key words", run: slowly(({ text }) => keyWords(text)) },
  { name: "detect", run: slowly(({ text, outputs: [reading] }) => detect(text, reading)) },
  { name: "compute", run: slowly(({ text, outputs: [, key, detected] }) => compute(text, key, detected)) },
  { name: "draft", run: slowly(({ outputs: [reading, key, detected, computed] }) => draft(reading, key, detected, computed)) },
  { name: "polish", stream: ({ outputs }) => spoken(polish(outputs[4])) },
];

function slowly(work: (input: StepInput) => Storable): (input: StepInput) => Promise<Storable> {
  return async (input) => {
    await pause(STEP_MILLISECONDS);
    return work(input);
  };
}

/** A text word by word, as language models answer. */
async function* spoken(text: string): AsyncGenerator<string> {
  const words = text.split(/(?<=\s)/u);
  for (const word of words) {
    await pause(STEP_MILLISECONDS / words.length);
    yield word;
  }
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function read(text: string): Storable {
  const words = wordsIn(text);
  const sentences = sentencesIn(text).length;
  let longest = "";
  for (const word of words) if (word.length > longest.length && /^\p{L}+$/u.test(word)) longest = word;
  return { line: `${count(words.length, "word")} in ${count(sentences, "sentence")}`, words: words.length, sentences, longest };
}

function keyWords(text: string): Storable {
  const found = keyWordsIn(text, maxKeyWords);
  const line = found.map(([word, times]) => (times > 1 ? `${word} ×${times}` : word)).join(", ");
  return { line: line === "" ? "none that stands out" : line, words: found.map(([word]) => word) };
}

/** A number and its noun. */
function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
