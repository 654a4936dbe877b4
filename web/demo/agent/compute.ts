// What a message asks for, and the facts to answer it with.
import type { Storable } from "@holdfast-dev/holdfast";
import { findNumbers, findSums, showNumber, type Sum } from "./arithmetic.js";
import { numberFrom, textFrom, textsFrom } from "./stored.js";
import { keyWordsIn, listIn, moodOf, sentencesIn, wordsIn } from "./words.js";

/** What a message is taken for. */
export type Kind = "sums" | "list" | "numbers" | "greeting" | "question" | "text" | "nothing";

const maxSums = 5;
const minutesPerWord = 1 / 230;

const labels: Record<Kind, string> = {
  sums: "something to work out",
  list: "a list",
  numbers: "a row of numbers",
  greeting: "a greeting",
  question: "a question",
  text: "a text to read",
  nothing: "no words at all",
};

export function detect(text: string, reading: unknown): Storable {
  const kind = kindOf(text, numberFrom(reading, "words"));
  const mood = moodOf(text);
  const spirits = mood > 0 ? ", in good spirits" : mood < 0 ? ", with a heavy heart" : "";
  return { line: labels[kind] + spirits, kind, mood };
}

export function compute(text: string, keyWords: unknown, detected: unknown): Storable {
  const facts = factsOf(textFrom(detected, "kind") as Kind, text, textsFrom(keyWords, "words"));
  const [first = "nothing to work out"] = facts;
  return { line: facts.length > 1 ? `${first} … ${facts.length} facts` : first, facts };
}

function kindOf(text: string, words: number): Kind {
  if (words === 0) return "nothing";
  if (findSums(text, 1).length > 0) return "sums";
  const items = listIn(text);
  if (findNumbers(text).length >= 3 && keyWordsIn(text, 6).length <= 5 && !items?.some((item) => /\p{L}/u.test(item))) return "numbers";
  if (items !== undefined) return "list";
  if (words <= 6 && /^\s*(?:hi|hello|hey|good (?:morning|evening|afternoon|day)|greetings)\b/iu.test(text)) return "greeting";
  return /\?\s*$/u.test(text) || /^\s*(?:who|what|when|where|why|how|which|is|are|do|does|can|could|will|would|should)\b[^.!]*$/iu.test(text)
    ? "question"
    : "text";
}

function factsOf(kind: Kind, text: string, keyWords: readonly string[]): string[] {
  switch (kind) {
    case "sums":
      return findSums(text, maxSums).map(showSum);
    case "numbers":
      return aboutNumbers(findNumbers(text));
    case "list":
      return aboutList(listIn(text) ?? []);
    case "text":
      return aboutText(text, keyWords);
    case "question":
    case "greeting":
    case "nothing":
      return [];
  }
}

function showSum({ shown, value }: Sum): string {
  return Number.isFinite(value) ? `${shown} = ${showNumber(value)}` : `${shown} has no answer`;
}

function aboutNumbers(numbers: readonly number[]): string[] {
  const total = numbers.reduce((sum, n) => sum + n, 0);
  const ordered = [...numbers].sort((a, b) => a - b);
  return [
    `${numbers.length} numbers, together ${showNumber(total)}`,
    `${showNumber(total / numbers.length)} on average`,
    `from ${showNumber(ordered[0] ?? 0)} to ${showNumber(ordered.at(-1) ?? 0)}`,
  ];
}

function aboutList(items: readonly string[]): string[] {
  const ordered = [...new Set(items.map((item) => item.toLowerCase()))].sort();
  const facts = [`${items.length} things`, `in order: ${ordered.join(", ")}`];
  const twice = ordered.filter((item) => items.filter((other) => other.toLowerCase() === item).length > 1);
  if (twice.length > 0) facts.push(`more than once: ${twice.join(", ")}`);
  return facts;
}

/** The sentence that has the most key words for its length, and the time to read it all. */
function aboutText(text: string, keyWords: readonly string[]): string[] {
  const facts: string[] = [];
  const sentences = sentencesIn(text);
  if (sentences.length >= 3) {
    const weight = (sentence: string): number => {
      const words = wordsIn(sentence).map((word) => word.toLowerCase());
      return words.filter((word) => keyWords.includes(word)).length / Math.sqrt(words.length + 4);
    };
    const best = sentences.reduce((a, b) => (weight(b) > weight(a) ? b : a));
    facts.push(`“${best}”`);
  }
  const minutes = wordsIn(text).length * minutesPerWord;
  facts.push(minutes < 1 ? `${Math.max(1, Math.round(minutes * 60))} s to read` : `${Math.round(minutes)} min to read`);
  return facts;
}
