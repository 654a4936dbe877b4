// The list of conversations.
import type { Verification } from "@holdfast-dev/holdfast";
import type { Chat, Role } from "../chats.js";
import { describeDamage, excerpt } from "../message.js";
import { byId, el, setText } from "./dom.js";

export interface SidebarActions {
  select(chat: Chat): void;
  delete(id: string): void;
  create(): void;
}

const maxTitle = 80;

const spoken: Record<Role, string> = { here: ", working", elsewhere: ", working in another tab", starting: ", starting", asking: ", asks you", idle: "", stopped: ", stopped" };

interface Row {
  readonly item: HTMLLIElement;
  readonly open: HTMLButtonElement;
  readonly title: HTMLElement;
  readonly role: HTMLElement;
  readonly remove: HTMLButtonElement;
}

export class Sidebar {
  readonly #list = byId("chats", HTMLOListElement);
  readonly #damaged = byId("damaged", HTMLOListElement);
  readonly #rows = new Map<string, Row>();
  readonly #actions: SidebarActions;

  constructor(actions: SidebarActions) {
    this.#actions = actions;
    byId("new", HTMLButtonElement).addEventListener("click", () => actions.create());
  }

  show(chats: readonly Chat[], selected: Chat | undefined, damaged: readonly Verification[]): void {
    for (const [id, { item }] of this.#rows) {
      if (chats.some((chat) => chat.id === id)) continue;
      item.remove();
      this.#rows.delete(id);
    }
    for (const [place, chat] of chats.entries()) {
      const row = this.#row(chat);
      const title = excerpt(chat.title, maxTitle);
      setText(row.title, title);
      setText(row.role, spoken[chat.role]);
      row.remove.setAttribute("aria-label", `Delete “${title}”`);
      row.item.dataset["role"] = chat.role;
      if (chat === selected) row.open.setAttribute("aria-current", "true");
      else row.open.removeAttribute("aria-current");
      if (this.#list.children[place] !== row.item) this.#list.insertBefore(row.item, this.#list.children[place] ?? null);
    }
    this.#damaged.hidden = damaged.length === 0;
    this.#damaged.replaceChildren(...damaged.map((found) => this.#damagedRow(found)));
  }

  #damagedRow(found: Verification): HTMLLIElement {
    const remove = el("button", { type: "button", class: "dismiss", "aria-label": "Delete the damaged conversation" }, "×");
    remove.addEventListener("click", () => this.#actions.delete(found.id));
    return el("li", { "data-role": "damaged" }, el("p", { class: "entry" }, describeDamage(found)), remove);
  }

  #row(chat: Chat): Row {
    let row = this.#rows.get(chat.id);
    if (row === undefined) {
      const title = el("bdi", { dir: "auto" });
      const role = el("span", { class: "sr-only" });
      const open = el("button", { type: "button", class: "entry" }, title, role);
      const remove = el("button", { type: "button", class: "dismiss" }, "×");
      open.addEventListener("click", () => this.#actions.select(chat));
      remove.addEventListener("click", () => this.#actions.delete(chat.id));
      row = { item: el("li", {}, open, remove), open, title, role, remove };
      this.#rows.set(chat.id, row);
    }
    return row;
  }
}
