// Writes README.md beside package.json, with links that resolve from where it is read: npm, or node_modules.
import { readFileSync, writeFileSync } from "node:fs";

/** @type {{ repository: { url: string } }} */
const { repository } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const base = `${repository.url.replace(/^git\+|\.git$/g, "")}/blob/main/`;
const raw = base.replace("github.com", "raw.githubusercontent.com").replace("/blob/", "/");

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const fence = "```"; // what is between two of them is code
writeFileSync(
  new URL("../README.md", import.meta.url),
  readme
    .split(fence)
    .map((part, i) => (i % 2 === 1 ? part : part.replace(/(!?)(\[[^\]]*\]\()(?![a-z]+:|#)/g, (_, image, text) => `${image}${text}${image === "" ? base : raw}`)))
    .join(fence),
);
