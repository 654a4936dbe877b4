// Code that is changed between a crash and the replay, and handlers that go another way by themselves.
import type { RunStep } from "@holdfast-dev/holdfast";
import { result, type Shape } from "./shape.js";
import type { World } from "./world.js";

type Handler = Shape["handler"];

/** Steps of different names, each of which gives its name. */
const listed = (...names: string[]): Handler => async (step, world) => {
  const texts: string[] = [];
  for (const name of names) texts.push(await step(name, world.does(name)));
  return texts;
};

/** A loop with one name. */
const loop = async (step: RunStep, world: World, label: string): Promise<string[]> => {
  const texts: string[] = [];
  for (let turn = 0; turn < 3; turn++) texts.push(await step("turn", world.does(`${label} ${turn}`)));
  return texts;
};

const turns = (label: string): string[] => [0, 1, 2].map((turn) => `${label} ${turn}`);

export interface Change {
  readonly before: Shape;
  readonly after: Shape;
}

function change(name: string, before: Handler, after: Handler, ends: Shape["ends"], more: Partial<Shape> = {}): Change {
  return { before: { name, handler: before, ends: [/./], varies: true, ...more }, after: { name, handler: after, ends, varies: true, changed: true, ...more } };
}

/** A handler that goes the way of its life. */
const byLife = (name: string, handler: (step: RunStep, world: World, first: boolean) => unknown, ends: Shape["ends"], more: Partial<Shape> = {}): Change => {
  const shape: Shape = { name, handler: (step, world) => handler(step, world, world.life === 0), ends, varies: true, foreign: true, ...more };
  return { before: shape, after: { ...shape, changed: true } };
};

const mismatch = /^failed: holdfast: step ".*": step_mismatch: .*give the calls of \w+ keys or scopes/;
const told = { reports: /step_mismatch/ };

export const changes: readonly Change[] = [
  change("a step is added in front", listed("a", "b", "c"), listed("new", "a", "b", "c"), [result(["new", "a", "b", "c"])]),
  change("a step is added in the middle", listed("a", "b", "c"), listed("a", "new", "b", "c"), [result(["a", "new", "b", "c"])]),
  change("a step is removed", listed("a", "b", "c"), listed("a", "c"), [result(["a", "c"])]),
  change("the first step is removed", listed("a", "b", "c"), listed("b", "c"), [result(["b", "c"])]),
  change("steps are moved", listed("a", "b", "c"), listed("c", "a", "b"), [result(["c", "a", "b"])]),
  change("a step is moved to the end", listed("a", "b", "c"), listed("a", "c", "b"), [result(["a", "c", "b"])]),
  change("a step is renamed", listed("a", "b", "c"), listed("a", "bee", "c"), [result(["a", "bee", "c"])]),
  change(
    "a step is added in front of a loop that has a scope",
    (step, world) => loop(step.scope("loop"), world, "turn"),
    async (step, world) => [await step("new", world.does("new")), ...(await loop(step.scope("loop"), world, "turn")), await step("last", world.does("last"))],
    [result(["new", ...turns("turn"), "last"])],
  ),
  change(
    "a step is added in front of a loop that has no scope",
    (step, world) => loop(step, world, "turn"),
    async (step, world) => [await step("new", world.does("new")), ...(await loop(step, world, "turn"))],
    [result(["new", ...turns("turn")]), mismatch],
    told,
  ),
  change(
    "the same, and then a retry from there",
    (step, world) => loop(step, world, "turn"),
    async (step, world) => [await step("new", world.does("new")), ...(await loop(step, world, "turn"))],
    [result(["new", ...turns("turn")])],
    { ...told, retry: { from: "turn" } },
  ),
  byLife("another order, with keys", async (step, world, first) => {
    const texts: string[] = [];
    for (const item of first ? ["a", "b", "c"] : ["c", "a", "b"]) texts.push(await step("item", world.does(item), { key: item }));
    return texts.sort();
  }, [result(["a", "b", "c"])]),
  byLife("more turns than before", async (step, world, first) => {
    const texts: string[] = [];
    for (let turn = 0; turn < (first ? 2 : 3); turn++) texts.push(await step("turn", world.does(`turn ${turn}`)));
    return [...texts, await step("end", world.does("end"))];
  }, [2, 3].map((count) => result([...turns("turn").slice(0, count), "end"]))),
  byLife("another way by chance, in front of a loop", async (step, world, first) => {
    const way = first ? "left" : "right";
    return [await step(way, world.does(way)), ...(await loop(step, world, "turn"))];
  }, [result(["left", ...turns("turn")]), result(["right", ...turns("turn")]), mismatch], told),
];
