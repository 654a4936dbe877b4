/** Items per page: with thousands of them, a page and the list of pages are about as long. */
const width = 64;

/** An immutable list without gaps. A changed copy shares the pages that are the same. */
export class Table<T> {
  readonly size: number;
  readonly #pages: readonly (readonly T[])[];

  private constructor(pages: readonly (readonly T[])[], size: number) {
    this.#pages = pages;
    this.size = size;
  }

  static empty<T>(): Table<T> {
    return new Table<T>([], 0);
  }

  at(place: number): T | undefined {
    return this.#pages[Math.floor(place / width)]?.[place % width];
  }

  items(): T[] {
    return this.#pages.flat();
  }

  /** Returns a copy with these items. Each place is in the list, or the next after its end. */
  after(changes: readonly (readonly [place: number, item: T])[]): Table<T> {
    const pages = this.#pages.slice();
    const own = new Map<number, T[]>();
    let { size } = this;
    for (const [place, item] of changes) {
      const number = Math.floor(place / width);
      let page = own.get(number);
      if (page === undefined) {
        page = pages[number]?.slice() ?? [];
        own.set(number, page);
        pages[number] = page;
      }
      page[place % width] = item;
      size = Math.max(size, place + 1);
    }
    return new Table(pages, size);
  }
}
