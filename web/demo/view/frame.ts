// The header's buttons, the state of the tab, and the drawer of narrow screens.
import type { ConversationState } from "@holdfast-dev/holdfast";
import { crash } from "../crash.js";
import { isUnfinished } from "../message.js";
import type { Role } from "../turns.js";
import { byId, setText } from "./dom.js";

const labels: Record<Role, string> = {
  agent: "Agent runs here",
  follower: "Following another tab",
  stopped: "Agent has stopped",
};

export class Frame {
  readonly #role = byId("role", HTMLElement);
  readonly #crash = byId("crash", HTMLButtonElement);
  readonly #clear = byId("clear", HTMLButtonElement);

  /** `clear` deletes the conversation; it is called after the user has confirmed. */
  constructor(clear: () => void) {
    this.#crash.addEventListener("click", crash);
    const dialog = byId("confirm", HTMLDialogElement);
    this.#clear.addEventListener("click", () => dialog.showModal());
    byId("confirm-no", HTMLButtonElement).addEventListener("click", () => dialog.close());
    byId("confirm-yes", HTMLButtonElement).addEventListener("click", () => {
      dialog.close();
      clear();
    });
    const panel = byId("panel", HTMLElement);
    const toggle = byId("panel-toggle", HTMLButtonElement);
    toggle.addEventListener("click", () => {
      const open = panel.classList.toggle("open");
      toggle.setAttribute("aria-expanded", String(open));
      setText(toggle, open ? "Less" : "More");
    });
  }

  show(state: ConversationState, role: Role | undefined): void {
    setText(this.#role, role === undefined ? "Opening…" : labels[role]);
    this.#role.dataset["role"] = role ?? "";
    // Only the tab that works can be stopped in the middle of a step.
    this.#crash.disabled = role !== "agent" || !state.messages.some(isUnfinished);
    this.#clear.disabled = state.messages.length === 0;
  }
}
