// What an agent asks, with a button for each answer.
import type { Storable } from "@holdfast-dev/holdfast";
import type { Question } from "../agent/agent.js";
import { button, byId, el } from "./dom.js";

/** `answer` resolves when the answer is stored, or somebody else's was before. */
export function questionNode({ text, about, choices }: Question, answer: (choice: Storable) => Promise<void>): HTMLElement {
  const buttons = choices.map(({ label, answer: choice }, place) =>
    button(label, place === 0 ? "small primary" : "small", () => {
      for (const each of buttons) each.disabled = true;
      void answer(choice).then(
        () => byId("text", HTMLTextAreaElement).focus(), // the buttons go, and what is focused must not go with them
        () => {
          for (const each of buttons) each.disabled = false;
          buttons[place]?.focus();
        },
      );
    }),
  );
  const title = el("strong", { dir: "auto" }, text);
  const group = el("div", { class: "question", role: "group" }, el("p", {}, title), el("p", { class: "about-question", dir: "auto" }, about), el("div", { class: "choices" }, ...buttons));
  group.setAttribute("aria-label", text);
  return group;
}
