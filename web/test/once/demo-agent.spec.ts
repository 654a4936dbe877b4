// What the demo's research assistant finds, without a page.
import { readFileSync } from "node:fs";
import { passagesOf, search, wordsOf } from "../../demo/agent/search.js";
import { expect, test } from "../harness/test.js";

const samples = ["kelp.md", "lighthouse.md", "tides.md"].map((name) => ({
  name,
  text: readFileSync(new URL(`../../demo/samples/${name}`, import.meta.url), "utf8"),
}));

test("files are cut into passages where Markdown does, and marks are left out", () => {
  const text = "Before.\n\n# One ##\nFirst\nline.\n\n- a\n- b\n\n## Two\n\n> quoted\n\n#no heading\n";
  expect(passagesOf({ name: "f", text })).toEqual([
    { file: "f", heading: "", text: "Before." },
    { file: "f", heading: "One", text: "First line." },
    { file: "f", heading: "One", text: "a b" },
    { file: "f", heading: "Two", text: "quoted" },
    { file: "f", heading: "Two", text: "#no heading" },
  ]);
  expect(passagesOf({ name: "f", text: "" })).toEqual([]);
  expect(passagesOf({ name: "f", text: `# Long\n\n${"word ".repeat(1000)}` }).length, "a passage has a limit").toBeGreaterThan(1);
});

test("the words of a question are those worth looking for", () => {
  const table: readonly (readonly [question: string, words: readonly string[]])[] = [
    ["What does the Holdfast do?", ["holdfast"]],
    ["Kelp, kelp and KELP", ["kelp"]],
    ["how are you?", []],
    ["… 🙂 !", []],
    ["Gezeiten über Nacht", ["gezeiten", "über", "nacht"]],
  ];
  for (const [question, words] of table) expect(wordsOf(question), question).toEqual(words);
});

test("the best passage is the one that is about it", () => {
  const table: readonly (readonly [question: string, file: string, heading: string])[] = [
    ["What does a holdfast do?", "kelp.md", "The holdfast"],
    ["How fast does kelp grow?", "kelp.md", "How fast it grows"],
    ["Who eats kelp forests?", "kelp.md", "What threatens it"],
    ["Why two high tides a day?", "tides.md", "Why there are two a day"],
    ["best time to dive", "tides.md", "At the mooring"],
    ["which oil did the lamp burn?", "lighthouse.md", "The lamp"],
    ["keeper's book", "lighthouse.md", "The keeper's book"],
  ];
  for (const [question, file, heading] of table) expect(search(samples, question)[0], question).toMatchObject({ file, heading, fit: 1 });
  for (const question of ["", "the", "zeppelin"]) expect(search(samples, question), question).toEqual([]);
  expect(search([], "kelp")).toEqual([]);
});
