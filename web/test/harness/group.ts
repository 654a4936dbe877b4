// The processes of a browser: a group, which ends as a whole.
import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as after } from "node:timers/promises";

const endDeadline = 10_000;

export class Group {
  /** Resolves when the process that was started has ended; others may be left. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #gone = false;

  /** `child` was started detached, and so leads a group. */
  constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
    // A run that is broken off must not leave browsers behind.
    const abandoned = (): void => this.#signal();
    process.once("exit", abandoned);
    void this.ended.then(() => process.off("exit", abandoned));
  }

  /** SIGKILL to all processes at once; resolves when they have gone. */
  async kill(): Promise<void> {
    if (this.#gone) return; // its number may be another group's by now
    this.#signal();
    await this.ended;
    await until(() => this.size() === 0, endDeadline, "the killed browser has processes left");
    this.#gone = true;
  }

  /** How many processes run. Zombies do not count: in a container nobody may ever fetch them. */
  size(): number {
    if (process.platform !== "linux") {
      try {
        process.kill(-(this.#child.pid ?? 0), 0);
        return 1;
      } catch {
        return 0;
      }
    }
    return readdirSync("/proc").filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        // pid (name) state parent group …
        const [state, , group] = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /s, "").split(" ");
        return state !== "Z" && state !== "X" && group === String(this.#child.pid);
      } catch {
        return false;
      }
    }).length;
  }

  #signal(): void {
    try {
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // Gone already.
    }
  }
}

/** Waits for a condition, looking again every few milliseconds. */
export async function until(condition: () => boolean | Promise<boolean>, deadline: number, otherwise: string): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`${otherwise} after ${deadline} ms`);
    await after(5);
  }
}
