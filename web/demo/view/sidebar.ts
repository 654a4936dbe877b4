// The list of conversations.
import type { Verification } from "@holdfast-dev/holdfast";
import type { Chat, Role } from "../chats.js";
import { describeDamage, excerpt } from "../message.js";
import { button, byId, el, setText } from "./dom.js";
import { List } from "./list.js";

export interface SidebarActions {
  select(chat: Chat): void;
  delete(id: string): void;
  create(): void;
}

const maxTitle = 80;

const spoken: Record<Role, string> = { here: ", working", elsewhere: ", working in another tab", starting: ", starting", asking: ", asks you", idle: "", stopped: ", stopped" };

interface Row {
  readonly item: HTMLLIElement;
  chat: Chat | undefined;
  readonly open: HTMLButtonElement;
  readonly title: HTMLElement;
  readonly role: HTMLElement;
  readonly remove: HTMLButtonElement;
}

export class Sidebar {
  readonly #damagedList = byId("damaged", HTMLOListElement);
  readonly #chats: List<Row>;
  readonly #damaged: List<{ readonly item: HTMLLIElement; readonly text: HTMLElement }>;
  readonly #actions: SidebarActions;

  constructor(actions: SidebarActions) {
    this.#actions = actions;
    const create = byId("new", HTMLButtonElement);
    create.addEventListener("click", () => actions.create());
    this.#chats = new List(byId("chats", HTMLOListElement), create, (id) => this.#row(id));
    this.#damaged = new List(this.#damagedList, create, (id) => {
      const text = el("p", { class: "entry" });
      return { item: el("li", { "data-role": "damaged" }, text, this.#remove(id, "Delete the damaged conversation")), text };
    });
  }

  show(chats: readonly Chat[], selected: Chat | undefined, damaged: readonly Verification[]): void {
    for (const [place, row] of this.#chats.show(chats.map(({ id }) => id)).entries()) {
      const chat = (row.chat = chats[place]);
      if (chat === undefined) continue;
      const title = excerpt(chat.title, maxTitle);
      setText(row.title, title);
      setText(row.role, spoken[chat.role]);
      row.remove.setAttribute("aria-label", `Delete “${title}”`);
      row.item.dataset["role"] = chat.role;
      if (chat === selected) row.open.setAttribute("aria-current", "true");
      else row.open.removeAttribute("aria-current");
    }
    this.#damagedList.hidden = damaged.length === 0;
    for (const [place, { text }] of this.#damaged.show(damaged.map(({ id }) => id)).entries()) {
      const found = damaged[place];
      if (found !== undefined) setText(text, describeDamage(found));
    }
  }

  #row(id: string): Row {
    const title = el("bdi", { dir: "auto" });
    const role = el("span", { class: "sr-only" });
    const open = el("button", { type: "button", class: "entry" }, title, role);
    const remove = this.#remove(id, "");
    const row: Row = { item: el("li", {}, open, remove), chat: undefined, open, title, role, remove };
    open.addEventListener("click", () => row.chat && this.#actions.select(row.chat));
    return row;
  }

  #remove(id: string, label: string): HTMLButtonElement {
    const remove = button("×", "dismiss", () => this.#actions.delete(id));
    remove.setAttribute("aria-label", label);
    return remove;
  }
}
