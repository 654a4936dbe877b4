// A list whose rows stay as long as what they are of: a row that is made anew loses the focus, and a press that has begun.

export class List<Row extends { readonly item: HTMLElement }> {
  readonly #element: HTMLElement;
  readonly #instead: HTMLElement;
  readonly #make: (key: string) => Row;
  readonly #rows = new Map<string, Row>();

  /** `instead` gets the focus when the last row goes with it. */
  constructor(element: HTMLElement, instead: HTMLElement, make: (key: string) => Row) {
    this.#element = element;
    this.#instead = instead;
    this.#make = make;
  }

  /** Shows the rows of these keys in this order, and returns them. */
  show(keys: readonly string[]): Row[] {
    const { children } = this.#element;
    const focused = document.activeElement;
    const place = [...children].findIndex((item) => item.contains(focused));
    const wanted = new Set(keys);
    for (const [key, { item }] of this.#rows) {
      if (wanted.has(key)) continue;
      item.remove();
      this.#rows.delete(key);
    }
    const rows = keys.map((key) => this.#row(key));
    for (const [at, { item }] of rows.entries()) {
      if (children[at] !== item) this.#element.insertBefore(item, children[at] ?? null);
    }
    if (place >= 0 && document.activeElement === document.body) {
      const moved = focused instanceof HTMLElement && focused.isConnected ? focused : undefined;
      (moved ?? children[Math.min(place, children.length - 1)]?.querySelector("button") ?? this.#instead).focus();
    }
    return rows;
  }

  #row(key: string): Row {
    let row = this.#rows.get(key);
    if (row === undefined) this.#rows.set(key, (row = this.#make(key)));
    return row;
  }
}
