// An answer as elements. It is Markdown, of a model or of the user's files, and may hold anything.
import DOMPurify from "dompurify";
import MarkdownIt from "markdown-it";
import { el } from "./dom.js";

/** Markup is no Markdown here, and so is shown as the text that it is. People, models and files end a line where they mean it to end. */
const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true });
markdown.disable("image"); // which leaves a link: nothing is fetched for an answer
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false }); // else kelp.md would be a site
for (const cell of ["th_open", "td_open"]) markdown.renderer.rules[cell] = () => `<${cell.slice(0, 2)}>`; // without a style, which the page's policy forbids

/** What Markdown needs; all else is left out, and what it contains is shown. */
const allowed = {
  ALLOWED_TAGS: [
    ...["p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"],
    ...["a", "code", "em", "s", "strong"],
  ],
  ALLOWED_ATTR: ["href", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/iu,
  ADD_URI_SAFE_ATTR: ["start"], // it holds no address
  RETURN_DOM_FRAGMENT: true as const,
};

export function answerNodes(text: string): Node[] {
  const fragment = DOMPurify.sanitize(markdown.render(text), allowed);
  for (const block of fragment.children) block.setAttribute("dir", "auto");
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank"; // the work in this page goes on
    link.rel = "noopener noreferrer";
  }
  for (const paragraph of fragment.querySelectorAll("blockquote > p:last-child")) cite(paragraph);
  return [...fragment.childNodes];
}

/** If the last line of a quote begins with a dash, it names where the quote is from. */
function cite(paragraph: Element): void {
  const end = [...paragraph.children].findLast(({ tagName }) => tagName === "BR");
  const dash = end?.nextSibling;
  if (end === undefined || !(dash instanceof Text) || !dash.data.trimStart().startsWith("— ")) return;
  dash.data = dash.data.trimStart().slice(2);
  const source = el("cite", { dir: "auto" });
  while (end.nextSibling !== null) source.append(end.nextSibling);
  end.replaceWith(source);
}
