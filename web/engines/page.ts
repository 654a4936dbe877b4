// A page of a browser that Playwright cannot drive, with as much of Playwright's interface as the specs use.
import { setTimeout as after } from "node:timers/promises";
import type { Browser, BrowserContext, ConsoleMessage, Page } from "@playwright/test";
import type { RunningBrowser } from "../test/harness/browser.js";
import { install, type News } from "./agent.js";
import { decode, encode, type Wire } from "./wire.js";

/** What a launcher has to be able to do with a tab. */
export interface Driver {
  goto(url: string): Promise<void>;
  reload(): Promise<void>;
  back(): Promise<void>;
  /** The value of an expression in the page, a string. It waits for no promise. */
  read(expression: string): Promise<string>;
  close(): Promise<void>;
}

/** What a launcher has to be able to do with a browser. */
export interface Process {
  readonly version: string;
  open(): Promise<Driver>;
  /** The same browser in private mode. */
  private(): Promise<Process>;
  close(): Promise<void>;
  kill(): Promise<void>;
}

/** Milliseconds between two looks at a page that has something to tell. */
const pace = 5;

type Fn = string | ((...args: never[]) => unknown);

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

class Handle {
  constructor(
    readonly page: DrivenPage,
    readonly number: number,
  ) {}

  evaluate(fn: Fn, arg?: unknown): Promise<unknown> {
    return this.page.call(fn, [this, arg]);
  }

  evaluateHandle(fn: Fn, arg?: unknown): Promise<Handle> {
    return this.page.hold(fn, [this, arg]);
  }
}

class DrivenPage {
  readonly #driver: Driver;
  readonly #context: Context;
  readonly #pending = new Map<number, Pending>();
  readonly #exposed = new Map<string, (...args: unknown[]) => unknown>();
  readonly #listeners: [string, (event: unknown) => void][] = [];
  readonly #init: Fn[] = [];
  #calls = 0;
  #closed = false;
  #watching = false;

  constructor(driver: Driver, context: Context) {
    this.#driver = driver;
    this.#context = context;
  }

  context(): Context {
    return this.#context;
  }

  on(event: string, listener: (event: unknown) => void): void {
    this.#listeners.push([event, listener]);
  }

  async addInitScript(fn: Fn): Promise<void> {
    this.#init.push(fn);
  }

  async exposeFunction(name: string, fn: (...args: unknown[]) => unknown): Promise<void> {
    this.#exposed.set(name, fn);
    await this.#prepare();
    this.#watch();
  }

  async goto(url: string): Promise<void> {
    await this.#leave(() => this.#driver.goto(url));
  }

  async reload(): Promise<void> {
    await this.#leave(() => this.#driver.reload());
  }

  async goBack(): Promise<void> {
    await this.#leave(() => this.#driver.back());
  }

  /** Waits until the page has gone by itself to an address. */
  async waitForURL(url: string): Promise<void> {
    await this.#leave(async () => {
      while ((await this.#driver.read("location.href").catch(() => "")) !== url) await after(pace);
    });
  }

  evaluate(fn: Fn, arg?: unknown): Promise<unknown> {
    return this.call(fn, [arg]);
  }

  evaluateHandle(fn: Fn, arg?: unknown): Promise<Handle> {
    return this.hold(fn, [arg]);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#look();
    this.#closed = true;
    this.#context.forget(this);
    await this.#driver.close();
    this.#abandon("the page was closed");
  }

  async call(fn: Fn, args: unknown[]): Promise<unknown> {
    return await this.#start(++this.#calls, fn, args, false);
  }

  async hold(fn: Fn, args: unknown[]): Promise<Handle> {
    const number = ++this.#calls;
    await this.#start(number, fn, args, true);
    return new Handle(this, number);
  }

  async #start(call: number, fn: Fn, args: unknown[], hold: boolean): Promise<unknown> {
    if (this.#closed) throw new Error("the page is closed");
    const wire = encode(args, (value) => (value instanceof Handle ? value.number : undefined));
    const ended = new Promise((resolve, reject) => this.#pending.set(call, { resolve, reject }));
    try {
      await this.#driver.read(`(holdfastAgent.start(${call}, (${String(fn)}), ${JSON.stringify(wire)}, ${hold}), "")`);
      this.#watch();
    } catch (error) {
      this.#pending.get(call)?.reject(error as Error);
    }
    return await ended;
  }

  /** Goes to another document: what is under way in this one ends. */
  async #leave(go: () => Promise<void>): Promise<void> {
    await this.#look();
    await go();
    this.#abandon("the page went somewhere else");
    await this.#prepare(this.#init);
  }

  async #prepare(init: readonly Fn[] = []): Promise<void> {
    const exposed = [...this.#exposed.keys()].map((name) => `holdfastAgent.expose(${JSON.stringify(name)})`);
    await this.#driver.read(`(${[`(${String(install)})(${String(encode)}, ${String(decode)})`, ...exposed, ...init.map((fn) => `(${String(fn)})()`)].join(", ")}, "")`);
  }

  /** Looks at the page again and again as long as it may have something to tell. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    const watch = async (): Promise<void> => {
      while (!this.#closed && this.#pending.size + this.#exposed.size > 0) {
        await this.#look();
        await after(pace);
      }
      this.#watching = false;
    };
    void watch().catch((error: Error) => this.#abandon(error.message));
  }

  async #look(): Promise<void> {
    const told = await this.#driver.read(`"holdfastAgent" in globalThis ? JSON.stringify(holdfastAgent.news()) : "{}"`).catch((error: Error) => {
      if (!this.#closed) throw error;
      return "{}";
    });
    const { ended = [], asked = [], complaints = [] } = JSON.parse(told) as Partial<News>;
    for (const { call, value, error } of ended) {
      const pending = this.#pending.get(call);
      this.#pending.delete(call);
      if (error === undefined) pending?.resolve(decode(value ?? null, () => undefined));
      else pending?.reject(decode(error, () => undefined) as Error);
    }
    for (const { call, name, args } of asked) void this.#answer(call, name, args);
    for (const { kind, text } of complaints) {
      const event = kind === "pageerror" ? text : ({ type: () => "error", text: () => text } as ConsoleMessage);
      for (const [wanted, listener] of this.#listeners) if (wanted === kind) listener(event);
    }
  }

  async #answer(call: number, name: string, args: Wire): Promise<void> {
    const value = await this.#exposed.get(name)?.(...(decode(args, () => undefined) as unknown[]));
    // Who asked may have gone.
    await this.#driver.read(`(holdfastAgent.answer(${call}, ${JSON.stringify(encode(value, () => undefined))}), "")`).catch(() => undefined);
  }

  #abandon(why: string): void {
    for (const { reject } of this.#pending.values()) reject(new Error(why));
    this.#pending.clear();
  }
}

class Context {
  readonly #process: Process;
  readonly #pages = new Set<DrivenPage>();

  constructor(process: Process) {
    this.#process = process;
  }

  pages(): DrivenPage[] {
    return [...this.#pages];
  }

  async newPage(): Promise<DrivenPage> {
    const page = new DrivenPage(await this.#process.open(), this);
    this.#pages.add(page);
    return page;
  }

  forget(page: DrivenPage): void {
    this.#pages.delete(page);
  }

  async close(): Promise<void> {
    await this.#process.close();
  }
}

/** What the specs take for a browser of Playwright's. */
export function running(process: Process): RunningBrowser {
  const context = new Context(process);
  const browser = {
    version: () => process.version,
    contexts: () => [context],
    newContext: async () => new Context(await process.private()),
  };
  return {
    browser: browser as unknown as Browser,
    context: context as unknown as BrowserContext,
    newPage: async () => (await context.newPage()) as unknown as Page,
    close: () => process.close(),
    kill: () => process.kill(),
  };
}
