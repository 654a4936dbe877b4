// Finds passages in the user's files.
import MiniSearch from "minisearch";

/** Part of a file, short enough to be read at once. */
export interface Passage {
  readonly file: string;
  /** The heading that it stands under; empty if there is none. */
  readonly heading: string;
  readonly text: string;
}

/** A passage that fits a query. */
export interface Found extends Passage {
  /** The words that it was found by, as they are indexed. */
  readonly words: readonly string[];
  /** How well it fits, next to the best one, which has 1. */
  readonly fit: number;
}

export interface Document {
  readonly name: string;
  readonly text: string;
}

const maxFound = 8;
const maxPassage = 1200;

/** Too common in English to look for. */
const stopWords = new Set(
  (
    "a about all also an and any are as at be been but by can could did do does for from had has have how i if in into is it its " +
    "know like me more most my no not of on one or our please say see should so some tell than that the their them then there " +
    "these they this those to up was we were what when where which while who whom whose why will with would you your"
  ).split(" "),
);

/** The words of a text that are worth looking for, each once, in lower case. */
export function wordsOf(text: string): string[] {
  const words = Array.from(new Intl.Segmenter("en", { granularity: "word" }).segment(text))
    .filter(({ isWordLike }) => isWordLike)
    .map(({ segment }) => segment.toLowerCase());
  return [...new Set(words)].filter((word) => !stopWords.has(word));
}

export function sentencesOf(text: string): string[] {
  return Array.from(new Intl.Segmenter("en", { granularity: "sentence" }).segment(text), ({ segment }) => segment.trim());
}

/** The passages that fit a query best, the best first. */
export function search(documents: readonly Document[], query: string): Found[] {
  const words = wordsOf(query);
  if (words.length === 0) return [];
  const passages = documents.flatMap(passagesOf);
  const index = new MiniSearch<Passage & { readonly id: number }>({ fields: ["heading", "text", "file"], processTerm });
  index.addAll(passages.map((passage, id) => ({ ...passage, id })));
  const results = index.search(words.join(" "), {
    prefix: (term) => term.length > 3,
    fuzzy: (term) => (term.length > 5 ? 0.2 : false),
    boost: { heading: 1.5, file: 0.5 },
  });
  const best = results[0]?.score ?? 1;
  return results.slice(0, maxFound).flatMap(({ id, match, score }) => {
    const passage = passages[id as number];
    return passage === undefined ? [] : [{ ...passage, words: Object.keys(match), fit: score / best }];
  });
}

/** The passages that have a text word for word, but for its case and the marks at its end. */
export function quote(documents: readonly Document[], text: string): Found[] {
  const wanted = text.replace(/[\s\p{P}]+$/u, "").replace(/\s+/gu, " ").trim().toLowerCase();
  if (wanted === "") return [];
  const words = wordsOf(wanted).map(processTerm);
  const passages = documents.flatMap(passagesOf).filter((passage) => passage.text.toLowerCase().includes(wanted));
  return passages.slice(0, maxFound).map((passage) => ({ ...passage, words, fit: 1 }));
}

/** How words are indexed: a plural is found by its singular, and the other way round. */
function processTerm(term: string): string {
  return term.toLowerCase().replace(/(?<=\p{L}{3})s$/u, "");
}

/** Which of the words that a passage was found by a sentence of it has. */
export function mentions(sentence: string, words: readonly string[]): string[] {
  const own = new Set(wordsOf(sentence).map(processTerm));
  return words.filter((word) => own.has(word));
}

/** Whether an indexed word is a form of a word that was asked for. */
export function isForm(asked: string, indexed: string): boolean {
  return indexed.startsWith(processTerm(asked));
}

/** Cuts a file where Markdown does: at headings and empty lines. */
export function passagesOf({ name, text }: Document): Passage[] {
  const passages: Passage[] = [];
  let heading = "";
  for (const block of text.split(/\n\s*\n|(?=^#{1,6}\s)/mu)) {
    const [, title, rest = block] = /^#{1,6}\s+(.*)\n?([\s\S]*)$/u.exec(block.trim()) ?? [];
    if (title !== undefined) heading = title.replace(/\s+#+$/u, "");
    const plain = rest.replace(/^\s*(?:[-*+>]|\d+[.)])\s+/gmu, "").replace(/\s+/gu, " ").trim();
    for (let from = 0; from < plain.length; from += maxPassage) {
      passages.push({ file: name, heading, text: plain.slice(from, from + maxPassage) });
    }
  }
  return passages;
}
