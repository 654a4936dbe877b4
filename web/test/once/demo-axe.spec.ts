// What a screen reader, a keyboard and weak eyes need of the demo, as far as axe-core can tell.
import type { Page } from "@playwright/test";
import axe from "axe-core";
import { addSamples, asks, finished, running, say, question, refuse, test, visit } from "../harness/demo.js";
import { expect } from "../harness/test.js";

/** Each rule that the page breaks, and where. */
async function broken(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { readonly axe: typeof axe }).axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join("; ")}`);
  });
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`nothing that can be told by rules is amiss, in ${colorScheme} colors`, async ({ page, server }) => {
    const check = async (what: string): Promise<void> => expect(await broken(page), what).toEqual([]);
    await visit(page, server);
    await page.emulateMedia({ colorScheme });
    await check("an empty page");
    await addSamples(page);
    await say(page, question);
    await running(page, "question");
    await check("a message that is worked on");
    await expect(asks(page)).toBeVisible();
    await check("a question to the person");
    await refuse(page);
    await finished(page);
    await check("an answer");
    await page.locator("#messages details summary").click();
    await check("its steps");
    await page.getByLabel("Who answers").selectOption("Language model at an address");
    await expect(page.getByRole("dialog")).toBeVisible();
    await check("a form");
    await page.keyboard.press("Escape");
    await page.locator("#chats .dismiss").click();
    await expect(page.getByRole("dialog")).toBeVisible();
    await check("a question of the page");
    await page.keyboard.press("Escape");
    await page.setViewportSize({ width: 360, height: 740 });
    await check("a narrow page");
    await page.getByRole("button", { name: "Conversations and files" }).click();
    await expect(page.getByRole("button", { name: "New" })).toBeInViewport();
    await check("its drawer");
    await page.goto(`${server.origin}/demo/crashed.html`);
    await check("the page of a crash");
  });
}
