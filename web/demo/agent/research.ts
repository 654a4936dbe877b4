// The agent that needs no network: it answers with quotes from the user's files.
import { type Message, StepError, type Work } from "@holdfast-dev/holdfast";
import type { Agent, Question, Tools } from "./agent.js";
import { count, textOf } from "../message.js";
import { type Found, isForm, mentions, queryOf, sentencesOf } from "./search.js";

/** How long each step takes, on purpose: long enough to see it, and to crash during it. */
const STEP_MILLISECONDS = 1000;

const maxQuotes = 3;

/** A part of a passage. Of the words that the passage was found by it has `words`. */
type Quote = Found;

/** It only computes: what fails once fails always. */
const once = { maxAttempts: 1 };

/** The outputs have a `line`, which the page shows, and what later steps need. */
export const research: Agent = {
  label: "Research assistant, offline",
  steps: [
    { name: "question" },
    { name: "exact" },
    { name: "search", insteadOf: "exact" },
    { name: "consent", asks: true },
    { name: "read" },
    { name: "compare" },
    { name: "answer" },
  ],

  async answer({ message, history, step }, tools) {
    const text = textOf(message.body);
    const question = await step("question", slowly(() => understand(text, history)), once);
    const found = await find(text, question.words, step, tools);
    const files = [...new Set(found.passages.map(({ file }) => file))];
    const all = files.length < 2 || (question.consent ?? (await step.wait<Consent>("consent", { prompt: ask(files) }))).all;
    const allowed = all ? files : files.slice(0, 1);
    const read = await step("read", (context) => readAll(allowed, found.passages, context.step), once);
    const compared = await step("compare", slowly(() => compare(read.quotes, question.words)), once);
    const unread = files.slice(allowed.length);
    return await step.stream("answer", () => spoken(write(question.words, found.files, compared, unread)), once);
  },
};

/** What the user has allowed. */
type Consent = {
  readonly line: string;
  /** Whether all files may be read, and not only the one that fits best. */
  readonly all: boolean;
};

interface Finding {
  readonly line: string;
  readonly files: number;
  readonly passages: readonly Found[];
}

/** The user is asked once in a branch: `consent` is what was answered before. */
function understand(text: string, history: readonly Message[]): { line: string; words: string[]; consent: Consent | undefined } {
  const words = queryOf(text);
  const consent = history.flatMap(({ steps }) => steps).findLast(({ name }) => name === "consent")?.output as Consent | undefined;
  return { line: words.length === 0 ? "no words to look for" : `look for ${words.join(", ")}`, words, consent };
}

/** Looks for the question as it stands or, since files seldom say it so, for its words. */
async function find(text: string, words: readonly string[], step: Work["step"], tools: Tools): Promise<Finding> {
  try {
    return await step("exact", slowly(async () => exactly(await tools.quote(text))), once);
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    return await step("search", slowly(async () => told(await tools.search(words.join(" ")))), once);
  }
}

function exactly(found: Omit<Finding, "line">): Finding {
  if (found.passages.length === 0) throw new Error("no file says it in these words");
  return told(found);
}

function told({ files, passages }: Omit<Finding, "line">): Finding {
  return { line: `${count(passages.length, "passage")} in ${count(files, "file")}`, files, passages };
}

function ask(files: readonly string[]): Question {
  const [best = ""] = files;
  const all: Consent = { line: `all ${files.length} files`, all: true };
  const one: Consent = { line: `only ${best}`, all: false };
  return {
    text: "Read all files?",
    about: `${listed(files, "conjunction")} say something about it, and ${best} fits best.`,
    choices: [
      { label: `Read all ${files.length}`, answer: all },
      { label: `Only ${best}`, answer: one },
    ],
  };
}

/** Reads the files at the same time, each in a step within the one that is called. */
async function readAll(files: readonly string[], passages: readonly Found[], step: Work["step"]): Promise<{ line: string; quotes: Quote[] }> {
  // A name may be longer than a key; the place of a file among those found is stored with them.
  const read = files.map((name, place) => step("file", slowly(() => quotesIn(passages.filter(({ file }) => file === name))), { ...once, key: String(place) }));
  const quotes = (await Promise.all(read)).flat().sort((a, b) => b.fit - a.fit);
  return { line: `${count(quotes.length, "sentence")} to quote`, quotes };
}

/** Returns the sentence with most of the words of each passage, and one beside a short one. */
function quotesIn(passages: readonly Found[]): Quote[] {
  return passages.flatMap(({ text, words, ...passage }) => {
    const sentences = sentencesOf(text);
    const hits = sentences.map((sentence) => mentions(sentence, words));
    const best = hits.reduce((most, own, i) => (own.length > (hits[most]?.length ?? 0) ? i : most), 0);
    const short = (sentences[best]?.length ?? 0) < 60;
    const first = short ? Math.max(0, best - 1) : best;
    const quote = sentences.slice(first, first + (short ? 2 : 1)).join(" ");
    return quote === "" ? [] : [{ ...passage, text: quote, words: hits[best] ?? [] }];
  });
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

function write(words: readonly string[], files: number, { quotes, missing }: Compared, unread: readonly string[]): string {
  if (files === 0) return "I have nothing to read yet. Drop text or Markdown files on this page, or add the sample notes, and ask again.";
  if (words.length === 0) return "Ask me something, and I will look it up in your files.";
  if (quotes.length === 0) return `I have looked for ${quoted(words)} in ${count(files, "file")}, and found nothing.`;
  const parts = [`This is what your files say:`];
  for (const { text, file, heading } of quotes) parts.push(`> ${text}\n— ${file}${heading === "" ? "" : `, ${heading}`}`);
  if (missing.length > 0) parts.push(`I found nothing about ${quoted(missing)}.`);
  if (unread.length > 0) parts.push(`I have not read ${listed(unread, "disjunction")}, as you wished.`);
  return parts.join("\n\n");
}

function quoted(words: readonly string[]): string {
  return listed(words.map((word) => `“${word}”`), "disjunction");
}

function listed(items: readonly string[], type: Intl.ListFormatType): string {
  return new Intl.ListFormat("en", { type }).format(items);
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
