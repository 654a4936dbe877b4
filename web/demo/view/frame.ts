// The header, the drawers of narrow screens, and the question before something is deleted.
import type { Role } from "../chat.js";
import { crash } from "../crash.js";
import { byId, handOn, isComposing, keepAtEnd, setText } from "./dom.js";

const labels: Record<Role, string> = {
  here: "The agent works here",
  elsewhere: "Another tab works, this one follows",
  starting: "Starting…",
  asking: "The agent asks you",
  idle: "Ready",
  stopped: "The agent has stopped",
};

export class Frame {
  readonly #role = byId("role", HTMLElement);
  readonly #crash = byId("crash", HTMLButtonElement);
  readonly #sidebar = byId("sidebar", HTMLElement);
  readonly #menu = byId("menu", HTMLButtonElement);
  readonly #confirm = byId("confirm", HTMLDialogElement);
  #label = "";

  /** `stop` stops what runs. */
  constructor(stop: () => void) {
    this.#crash.addEventListener("click", crash);
    this.#menu.addEventListener("click", () => this.#open(!this.#sidebar.classList.contains("open")));
    this.#sidebar.addEventListener("focusout", ({ relatedTarget: to }) => {
      // The drawer covers what is focused then. A dialog returns to it.
      if (to instanceof Element && to !== this.#menu && !this.#sidebar.contains(to) && to.closest("dialog") === null) this.#open(false);
    });
    byId("veil", HTMLElement).addEventListener("click", () => this.closeMenu());
    addEventListener("keydown", (event) => {
      // Escape closes what is open; a list of choices and a dialog do so by themselves.
      if (event.key !== "Escape" || isComposing(event) || event.target instanceof HTMLSelectElement || document.querySelector("dialog[open]") !== null) return;
      if (this.#sidebar.classList.contains("open")) this.closeMenu();
      else stop();
    });
    const panel = byId("panel", HTMLElement);
    const toggle = byId("panel-toggle", HTMLButtonElement);
    const log = byId("log", HTMLOListElement);
    toggle.addEventListener("click", () => {
      const open = !panel.classList.contains("open");
      keepAtEnd(log, () => panel.classList.toggle("open", open));
      toggle.setAttribute("aria-expanded", String(open));
      setText(toggle, open ? "Hide" : "Show");
    });
    // What was focused before a dialog may have gone meanwhile.
    for (const dialog of document.querySelectorAll("dialog")) {
      dialog.addEventListener("close", () => document.activeElement === document.body && byId("text", HTMLTextAreaElement).focus());
    }
    for (const event of ["online", "offline"]) addEventListener(event, () => this.#say());
  }

  /** `worksHere`: whether this tab works on any chat, so that a crash would hit something. */
  show(role: Role, worksHere: boolean): void {
    this.#label = labels[role];
    this.#role.dataset["role"] = role;
    handOn(() => (this.#crash.disabled = !worksHere));
    this.#say();
  }

  closeMenu(): void {
    this.#open(false);
  }

  /** Asks whether to delete something. */
  async confirm(title: string, text: string): Promise<boolean> {
    setText(byId("confirm-title", HTMLElement), title);
    setText(byId("confirm-text", HTMLElement), text);
    this.#confirm.returnValue = "";
    this.#confirm.showModal();
    await new Promise((resolve) => this.#confirm.addEventListener("close", resolve, { once: true }));
    return this.#confirm.returnValue === "yes";
  }

  #open(open: boolean): void {
    if (!open && this.#sidebar.contains(document.activeElement)) this.#menu.focus(); // unless there is no drawer: then it has no place
    this.#sidebar.classList.toggle("open", open);
    this.#menu.setAttribute("aria-expanded", String(open));
    if (open) this.#sidebar.querySelector("button")?.focus();
  }

  #say(): void {
    setText(this.#role, navigator.onLine ? this.#label : `${this.#label} · no network`);
  }
}
