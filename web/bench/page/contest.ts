// Lets contestants do the same work in alternating rounds, in one page.
import type { Durability, Log, Peer } from "../peers/peer.js";

export interface Contestant {
  readonly name: string;
  readonly peer: Peer;
  /**
   * How its logs are written that a workload needs, and whether they are read from a snapshot on. Default: in batches. Another variant is a value
   * here and in `variants` of page.ts, and what `fill` does for it: it then has a row in each table about reading.
   */
  readonly written?: "one by one" | "in bursts" | "with a snapshot";
}

/** What a round has measured, by the name of the measure, in the workload's unit. */
export type Measures = Readonly<Record<string, number>>;

export interface Contest {
  readonly rounds: number;
  /** Rounds before those that count. */
  readonly warmUp: number;
  /** What a contestant is not asked to do for long: who needs more has fewer rounds, or none. */
  readonly secondsToPrepare: number;
  readonly secondsOfRounds: number;
  /** Whether each round is on a log just opened, as in a page just loaded: what the rounds before have read is not in memory. */
  readonly afresh?: boolean;
  readonly prepare?: (log: Log, contestant: Contestant, proceed: Proceed) => Promise<void>;
  readonly round: (log: Log, round: number, contestant: Contestant) => Promise<Measures>;
}

/** Throws when the time to prepare is over. */
export type Proceed = () => void;

/** What became of a contestant. */
export interface Result {
  readonly name: string;
  /** One for each round; in the first place that of the first round that counts, so that rounds of several can be compared. */
  readonly rounds: Measures[];
  /** Why it has fewer rounds than others, or none. */
  problem?: string;
}

/** For a round, or to open or close. */
const secondsForOne = 120;

/** Contestants of one group are neighbours. */
export async function hold(contest: Contest, groups: readonly (readonly Contestant[])[], durability: Durability): Promise<Result[]> {
  const entrants = groups.map((group) => group.map((contestant) => new Entrant(contestant)));
  const entered = entrants.flat();
  for (const entrant of entered) await entrant.enter(contest, durability);
  for (let round = -contest.warmUp; round < contest.rounds; round++) {
    // Each is first as often as last, and follows each of its two neighbours as often. After every
    // two rounds a group is in the opposite order: its members follow the same neighbours.
    const placed = (round & 2) === 0 ? entered : entrants.flatMap((group) => group.toReversed());
    const from = (round + contest.warmUp) % placed.length;
    const turn = [...placed.slice(from), ...placed.slice(0, from)];
    for (const entrant of round % 2 === 0 ? turn : turn.toReversed()) await entrant.play(contest, durability, round);
  }
  for (const entrant of entered) await entrant.leave();
  return entered.map((entrant) => entrant.result);
}

class Entrant {
  readonly result: Result;
  readonly #contestant: Contestant;
  #log: Log | undefined;
  #spent = 0;
  #out = false;

  constructor(contestant: Contestant) {
    this.#contestant = contestant;
    this.result = { name: contestant.name, rounds: [] };
  }

  async enter(contest: Contest, durability: Durability): Promise<void> {
    await this.#try(contest.secondsToPrepare + secondsForOne, async () => {
      const log = await this.#open(durability);
      const end = performance.now() + 1000 * contest.secondsToPrepare;
      await contest.prepare?.(log, this.#contestant, () => {
        if (performance.now() > end) throw new Error(`not prepared within ${contest.secondsToPrepare} s`);
      });
      console.debug(`${this.result.name}: prepared in ${Math.round(performance.now() - end + 1000 * contest.secondsToPrepare)} ms`);
    });
  }

  async #open(durability: Durability): Promise<Log> {
    return (this.#log = await this.#contestant.peer.open(`bench ${this.result.name}`, durability));
  }

  async play(contest: Contest, durability: Durability, round: number): Promise<void> {
    const before = this.#log;
    if (before === undefined || this.#out) return;
    if (this.#spent > 1000 * contest.secondsOfRounds) {
      this.#out = true;
      this.result.problem = `${this.result.rounds.length} of ${contest.rounds} rounds, which took more than ${contest.secondsOfRounds} s`;
      return;
    }
    await this.#try(secondsForOne, async () => {
      if (contest.afresh === true) await before.close();
      const log = contest.afresh === true ? await this.#open(durability) : before;
      const start = performance.now();
      const measures = await contest.round(log, round, this.#contestant);
      if (round >= 0) this.#spent += performance.now() - start;
      console.debug(`${this.result.name}: round ${round} took ${Math.round(performance.now() - start)} ms`); // BENCH_VERBOSE shows it
      if (round >= 0) this.result.rounds.push(measures);
    });
  }

  async leave(): Promise<void> {
    await this.#try(secondsForOne, async () => await this.#log?.close());
  }

  /** A failure ends it for this contestant, and for nobody else. */
  async #try(seconds: number, work: () => Promise<void>): Promise<void> {
    try {
      await within(seconds, work());
    } catch (error) {
      this.#out = true;
      this.result.problem ??= error instanceof Error ? error.message : String(error);
    }
  }
}

async function within(seconds: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${seconds} s`)), 1000 * seconds);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
