// Durably: jobs of steps on SQLite. It has no append to a log, and needs a cross-origin isolated page, see page/isolated.ts.
import { createDurably, defineJob } from "@coji/durably";
import { SQLocalKysely } from "sqlocal/kysely";
import { z } from "zod";
import { type Log, type Peer, text } from "./peer.js";

export const durably: Peer = {
  name: "@coji/durably",
  check: "none",
  strict: false,
  note: "0.15.0 on SQLocal 0.18.0, SQLite on OPFS",
  open: async (name) => await jobsIn(`${name}.sqlite3`),
};

async function jobsIn(file: string): Promise<Log> {
  const { dialect, destroy } = new SQLocalKysely(file);
  const answer = defineJob({
    name: "answer",
    input: z.object({ message: z.string() }),
    run: async (step) => {
      for (let i = 0; i < 6; i++) await step.run(`step ${i}`, () => text);
    },
  });
  const jobs = createDurably({ dialect, jobs: { answer } });
  await jobs.migrate();
  const unsupported = (): Promise<never> => Promise.reject(new Error("it has no log"));
  return {
    append: unsupported,
    batch: unsupported,
    recover: unsupported,
    /** Without its polling, which would add half of its interval. */
    async answer(_stream, message) {
      await jobs.jobs.answer.trigger({ message });
      await jobs.processUntilIdle();
    },
    async close() {
      await jobs.stop();
      await destroy();
    },
  };
}
