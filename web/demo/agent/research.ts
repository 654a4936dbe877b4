// The agent that needs no network: it answers with quotes from the user's files.
import type { Agent } from "./agent.js";
import { count, textOf } from "../message.js";
import { type Found, isForm, mentions, sentencesOf, wordsOf } from "./search.js";

/** How long each step takes, on purpose: long enough to see it, and to crash during it. */
const STEP_MILLISECONDS = 1000;

const maxQuotes = 3;

/** A part of a passage. Of the words that the passage was found by it has `words`. */
type Quote = Found;

/** The outputs have a `line`, which the page shows, and what later steps need. */
export const research: Agent = {
  label: "Research assistant, offline",
  steps: ["question", "search", "read", "compare", "answer"],

  async answer({ message, step }, tools) {
    // It only computes: what fails once fails always.
    const once = { maxAttempts: 1 };
    const text = textOf(message.body);
    const question = await step("question", slowly(() => understand(text)), once);
    const found = await step("search", slowly(async () => told(await tools.search(question.words.join(" ")))), once);
    const read = await step("read", slowly(() => quotesIn(found.passages)), once);
    const compared = await step("compare", slowly(() => compare(read.quotes, question.words)), once);
    return await step.stream("answer", () => spoken(write(question.words, found.files, compared)), once);
  },
};

function understand(text: string): { line: string; words: string[] } {
  const words = wordsOf(text);
  return { line: words.length === 0 ? "no words to look for" : `look for ${words.join(", ")}`, words };
}

function told({ files, passages }: { readonly files: number; readonly passages: readonly Found[] }): { line: string; files: number; passages: readonly Found[] } {
  return { line: `${count(passages.length, "passage")} in ${count(files, "file")}`, files, passages };
}

/** Returns the sentence with most of the words of each passage, and one beside a short one. */
function quotesIn(passages: readonly Found[]): { line: string; quotes: Quote[] } {
  const quotes = passages.flatMap(({ text, words, ...passage }) => {
    const sentences = sentencesOf(text);
    const hits = sentences.map((sentence) => mentions(sentence, words));
    const best = hits.reduce((most, own, i) => (own.length > (hits[most]?.length ?? 0) ? i : most), 0);
    const short = (sentences[best]?.length ?? 0) < 60;
    const first = short ? Math.max(0, best - 1) : best;
    const quote = sentences.slice(first, first + (short ? 2 : 1)).join(" ");
    return quote === "" ? [] : [{ ...passage, text: quote, words: hits[best] ?? [] }];
  });
  return { line: `${count(quotes.length, "sentence")} to quote`, quotes };
}

interface Compared {
  readonly line: string;
  readonly quotes: readonly Quote[];
  /** Words of the question that no quote has. */
  readonly missing: readonly string[];
}

/** Keeps the best quotes: each has a word that those before lack, or agrees from another file. */
function compare(quotes: readonly Quote[], words: readonly string[]): Compared {
  const kept: Quote[] = [];
  for (const quote of quotes) {
    const news = quote.words.some((word) => !kept.some((other) => other.words.includes(word)));
    const agrees = quote.fit >= 0.5 && !kept.some((other) => other.file === quote.file);
    if (kept.length < maxQuotes && (news || agrees) && !kept.some((other) => other.text === quote.text)) kept.push(quote);
  }
  const said = kept.flatMap((quote) => quote.words);
  const missing = words.filter((word) => !said.some((other) => isForm(word, other)));
  const files = new Set(kept.map(({ file }) => file)).size;
  return { line: `${count(kept.length, "quote")} from ${count(files, "file")}`, quotes: kept, missing };
}

function write(words: readonly string[], files: number, { quotes, missing }: Compared): string {
  if (files === 0) return "I have nothing to read yet. Drop text or Markdown files on this page, or add the sample notes, and ask again.";
  if (words.length === 0) return "Ask me something, and I will look it up in your files.";
  if (quotes.length === 0) return `I have looked for ${listed(words)} in ${count(files, "file")}, and found nothing.`;
  const parts = [`This is what your files say:`];
  for (const { text, file, heading } of quotes) parts.push(`> ${text}\n— ${file}${heading === "" ? "" : `, ${heading}`}`);
  if (missing.length > 0) parts.push(`I found nothing about ${listed(missing)}.`);
  return parts.join("\n\n");
}

function listed(words: readonly string[]): string {
  return new Intl.ListFormat("en", { type: "disjunction" }).format(words.map((word) => `“${word}”`));
}

function slowly<T>(work: () => T | Promise<T>): () => Promise<T> {
  return async () => {
    await pause(STEP_MILLISECONDS);
    return work();
  };
}

/** Yields a text word by word, by the clock: a hidden tab's timer may fire only once a second. */
async function* spoken(text: string): AsyncGenerator<string> {
  const words = text.split(/(?<=\s)(?=\S)/u);
  const start = performance.now();
  for (let said = 0; said < words.length; ) {
    await pause(STEP_MILLISECONDS / words.length);
    const due = Math.ceil(((performance.now() - start) / STEP_MILLISECONDS) * words.length);
    for (; said < Math.min(due, words.length); said++) yield words[said] ?? "";
  }
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
