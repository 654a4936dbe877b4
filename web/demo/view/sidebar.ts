// The list of conversations.
import type { Verification } from "@holdfast-dev/holdfast";
import { maxTitle, type Role } from "../chat.js";
import type { Entry } from "../chats.js";
import { describeDamage, excerpt } from "../message.js";
import { button, byId, el, iconButton, isComposing, setText } from "./dom.js";
import { List } from "./list.js";

export interface SidebarActions {
  select(id: string): void;
  /** Rejects if the title could not be stored. */
  rename(id: string, title: string): Promise<void>;
  pin(id: string, pinned: boolean): void;
  delete(id: string): void;
  create(): void;
}

const pencil = "M3 13l.8-3.2 7-7a1 1 0 0 1 1.4 0l1 1a1 1 0 0 1 0 1.4l-7 7zM9.5 4.1l2.4 2.4";
const pin = "M5.5 2h5M6.5 2v4L4.5 9h7l-2-3V2M8 9v5";

const spoken: Record<Role, string> = { here: ", working", elsewhere: ", working in another tab", starting: ", starting", asking: ", asks you", idle: "", stopped: ", stopped" };

interface Row {
  readonly item: HTMLLIElement;
  entry: Entry | undefined;
  readonly open: HTMLButtonElement;
  readonly title: HTMLElement;
  readonly role: HTMLElement;
  readonly rename: HTMLButtonElement;
  readonly pin: HTMLButtonElement;
  readonly remove: HTMLButtonElement;
}

export class Sidebar {
  readonly #find = byId("find", HTMLInputElement);
  readonly #none = byId("found-none", HTMLElement);
  readonly #damagedList = byId("damaged", HTMLOListElement);
  readonly #chats: List<Row>;
  readonly #damaged: List<{ readonly item: HTMLLIElement; readonly text: HTMLElement }>;
  readonly #actions: SidebarActions;
  #all: readonly Entry[] = [];
  #selected: string | undefined;

  constructor(actions: SidebarActions) {
    this.#actions = actions;
    const create = byId("new", HTMLButtonElement);
    create.addEventListener("click", () => {
      this.#search("");
      actions.create();
    });
    this.#find.addEventListener("input", () => this.#list());
    this.#find.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || isComposing(event) || this.#find.value === "") return;
      event.stopPropagation(); // it closes or stops nothing else
      event.preventDefault();
      this.#search("");
    });
    this.#chats = new List(byId("chats", HTMLOListElement), create, (id) => this.#row(id));
    this.#damaged = new List(this.#damagedList, create, (id) => {
      const text = el("p", { class: "entry" });
      return { item: el("li", { "data-role": "damaged" }, text, this.#remove(id, "Delete the damaged conversation")), text };
    });
  }

  show(entries: readonly Entry[], selected: string | undefined, damaged: readonly Verification[]): void {
    this.#all = entries;
    this.#selected = selected;
    this.#list();
    this.#damagedList.hidden = damaged.length === 0;
    for (const [place, { text }] of this.#damaged.show(damaged.map(({ id }) => id)).entries()) {
      const found = damaged[place];
      if (found !== undefined) setText(text, describeDamage(found));
    }
  }

  #search(title: string): void {
    this.#find.value = title;
    this.#list();
  }

  /** Lists those whose title has what is searched for. */
  #list(): void {
    const wanted = this.#find.value.trim().toLowerCase();
    const found = this.#all.filter(({ title }) => title.toLowerCase().includes(wanted));
    setText(this.#none, found.length === 0 && wanted !== "" ? "No chat has that title." : "");
    for (const [place, row] of this.#chats.show(found.map(({ id }) => id)).entries()) {
      const entry = (row.entry = found[place]);
      if (entry === undefined) continue;
      const title = excerpt(entry.title, maxTitle);
      setText(row.title, title);
      row.open.title = title; // there is seldom room for all of it
      setText(row.role, spoken[entry.role]);
      row.rename.setAttribute("aria-label", `Rename “${title}”`);
      row.pin.setAttribute("aria-label", `Pin “${title}”`);
      row.pin.setAttribute("aria-pressed", String(entry.isPinned));
      row.remove.setAttribute("aria-label", `Delete “${title}”`);
      row.item.dataset["role"] = entry.role;
      if (entry.id === this.#selected) row.open.setAttribute("aria-current", "true");
      else row.open.removeAttribute("aria-current");
    }
  }

  #row(id: string): Row {
    const title = el("bdi", { dir: "auto" });
    const role = el("span", { class: "sr-only" });
    const open = el("button", { type: "button", class: "entry" }, title, role);
    const rename = iconButton(pencil, "tool", () => this.#rename(row));
    const pinned = iconButton(pin, "tool", () => row.entry && this.#actions.pin(id, !row.entry.isPinned));
    const remove = this.#remove(id, "");
    const row: Row = { item: el("li", {}, open, rename, pinned, remove), entry: undefined, open, title, role, rename, pin: pinned, remove };
    open.addEventListener("click", () => this.#actions.select(id));
    return row;
  }

  /** Puts the title in a box, in place of the row. Enter stores it, Escape leaves it. */
  #rename({ item, entry, rename }: Row): void {
    if (entry === undefined) return;
    const before = excerpt(entry.title, maxTitle);
    const input = el("input", { value: before, maxlength: String(maxTitle), autocomplete: "off", dir: "auto", "aria-label": `Title of “${before}”` });
    const store = el("button", { class: "icon", "aria-label": "Store the title" }, "✓");
    const form = el("form", { class: "renaming" }, input, store);
    const close = (): void => {
      form.remove();
      rename.focus();
    };
    const leave = button("×", "icon", close);
    leave.setAttribute("aria-label", "Leave the title as it is");
    form.append(leave);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const title = input.value.toWellFormed().replace(/\s+/gu, " ").trim();
      if (title === before) close();
      else void this.#actions.rename(entry.id, title).then(close, () => input.focus());
    });
    form.addEventListener("keydown", (event) => {
      if (isComposing(event)) return event.key === "Enter" ? event.preventDefault() : undefined;
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close();
    });
    item.append(form);
    input.select();
  }

  #remove(id: string, label: string): HTMLButtonElement {
    const remove = button("×", "dismiss", () => this.#actions.delete(id));
    remove.setAttribute("aria-label", label);
    return remove;
  }
}
