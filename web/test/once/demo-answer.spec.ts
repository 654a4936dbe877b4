// The demo's answers: they are Markdown, which may hold anything, and grow while somebody reads, selects and copies them.
import { allow, answer, connect, finished, message, say, test, visit } from "../harness/demo.js";
import type * as Demo from "../pages/demo.js";
import { expect } from "../harness/test.js";

const fence = "```";

/** Markup, which is shown as it stands. */
const markup = [
  "<script>ran()</script>",
  "<script src=https://evil.example/a.js></script>",
  "<img src=x onerror=ran()>",
  "<img src=https://evil.example/a.png>",
  "<svg onload=ran()><script>ran()</script></svg>",
  "<svg><animate onbegin=ran() attributeName=x></svg>",
  "<style>* { display: none }</style>",
  "<math><mtext><table><mglyph><style><img src=x onerror=ran()></style></mglyph></table></mtext></math>",
  '<iframe src="javascript:parent.ran()"></iframe>',
  '<iframe srcdoc="<script>parent.ran()</script>"></iframe>',
  '<object data="data:text/html,<script>ran()</script>"></object>',
  '<a href="javascript:ran()">press</a>',
  "<details open ontoggle=ran()>",
  "<input autofocus onfocus=ran()>",
  '<form action="https://evil.example/"><button>press</button></form>',
  '<base href="https://evil.example/">',
  '<meta http-equiv=refresh content="0;url=https://evil.example/">',
  '<p style="position: fixed; inset: 0" id="text" class="veil">over all</p>',
  "<!-- <img src=x onerror=ran()> -->",
  "<noscript><p title=\"</noscript><img src=x onerror=ran()>\"></noscript>",
];

/** Markdown whose addresses are no place to go to: the words are left. */
const addresses = [
  "[script](javascript:ran())",
  "[case](JaVaScRiPt:ran())",
  "[entity](&#106;avascript:ran())",
  "[entities](javascript&colon;ran())",
  "[tab](<java\tscript:ran()>)",
  "[blank](<  javascript:ran()>)",
  "[vbs](vbscript:ran())",
  "[data](data:text/html;base64,PHNjcmlwdD5yYW4oKTwvc2NyaXB0Pg==)",
  "[blob](blob:https://evil.example/1)",
  "[file](file:///etc/passwd)",
  "[relative](crashed.html)",
  "[nobody's](//evil.example/)",
  "[reference]",
  "<javascript:ran()>",
  "![data](data:image/svg+xml,<svg/onload=ran()>)",
  '![out](x" onerror="ran())',
];

/** What would break out of where it stands. */
const rest = [
  `${fence}"><img src=x onerror=ran()>\n</code></pre><script>ran()</script>\n${fence}`,
  "`</code><script>ran()</script>`",
  "# <img src=x onerror=ran()>",
  "| <img src=x onerror=ran()> |\n|---|\n| <script>ran()</script> |",
  "> It <script>ran()</script>\n— <img src=x onerror=ran()>",
  "- <svg onload=ran()>",
  '[title](https://example.com/1 "\\" onclick=\\"ran()")',
  '[address](https://example.com/2"onclick="ran())',
  "![picture](https://example.com/3.png)",
  "[reference]: javascript:ran()",
];

test("an answer that would do something does nothing, and hides nothing", async ({ model, page, server }) => {
  await page.addInitScript(() => Object.assign(globalThis, { ran: () => document.documentElement.classList.add("ran") }));
  await visit(page, server);
  await connect(page, model);
  await say(page, "Be hostile");
  const call = await model.next();
  const samples = [...markup, ...addresses, ...rest];
  for (const sample of samples) call.stream(`${sample}\n\n`); // as it grows it is other Markdown each time
  await expect(answer(page)).toContainText("picture");
  call.done();
  await finished(page);
  const found = await answer(page).evaluate((bubble) => {
    const elements = [...bubble.querySelectorAll("*")];
    const unique = (names: readonly string[]): string[] => [...new Set(names)].sort();
    return {
      elements: unique(elements.map(({ localName }) => localName)),
      attributes: unique(elements.flatMap((element) => element.getAttributeNames())),
      addresses: elements.flatMap((element) => element.getAttribute("href") ?? []),
      text: bubble.textContent,
    };
  });
  expect(found.elements).toEqual(["a", "blockquote", "cite", "code", "h1", "li", "p", "pre", "table", "tbody", "td", "th", "thead", "tr", "ul"]);
  expect(found.attributes).toEqual(["dir", "href", "rel", "target"]);
  const named = ["a.js", "a.png", "", "", ""].map((name) => `https://evil.example/${name}`); // in markup that is shown as text
  expect(found.addresses).toEqual([...named, "https://example.com/1", "https://example.com/2%22onclick=%22ran()", "https://example.com/3.png"]);
  for (const sample of markup) expect(found.text).toContain(sample);
  for (const sample of addresses) expect(found.text).toContain(/(?<=[[<])[^\]>]+/.exec(sample)?.[0]);
  // The page's policy would have refused it, and the console would have said so.
  await expect(page.locator("html")).not.toHaveClass(/ran/);
  await page.reload();
  await expect(answer(page)).toHaveText(found.text, { useInnerText: false });
});

test("no answer is too deep, or takes long to show", async ({ page, server }) => {
  await page.goto(server.origin);
  const shown = await page.evaluate(async (path) => {
    const { answerNodes } = (await import(path)) as typeof Demo;
    const texts = [">", "[", "![", "_a__", "**a*", "`", "<", "- "].map((part) => part.repeat(50_000));
    return texts.map((text) => answerNodes(text).length > 0);
  }, "/bundle/demo.js");
  expect(shown).not.toContain(false);
});

test("an answer is Markdown, grows under a selection, and is copied as it was written", async ({ context, model, page, server }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit(page, server);
  await connect(page, model);
  await say(page, "Say it in Markdown");
  const call = await model.next();
  const written = ["# Kelp\n\nIt holds **fast**", " in a *storm*.\n\n- on rock\n", "- not on `sand`\n", "\n| depth | kelp |\n|--:|---|\n", "| 9 m | much |\n\n3. third\n\n", "- [x] done\n\n> It holds.\n— kelp.md\n\nMore at https://example.com/kelp"];
  const bubble = answer(page);
  call.stream(written[0] ?? "");
  await expect(bubble.locator("strong")).toHaveText("fast");
  await page.evaluate(() => {
    const [heading, text] = [document.querySelector("#messages h1"), document.querySelector("#messages .bubble > p")?.firstChild];
    if (heading !== null && text instanceof Text) getSelection()?.setBaseAndExtent(heading, 0, text, 8);
  });
  const selected = (): Promise<string | undefined> => page.evaluate(() => getSelection()?.toString().replace(/\s+/g, " "));
  expect(await selected()).toBe("Kelp It holds");
  for (const part of written.slice(1)) {
    call.stream(part);
    await expect(bubble).toContainText(/[a-z]+(?=\W*$)/.exec(part)?.[0] ?? "");
    expect(await selected(), part).toBe("Kelp It holds");
  }
  call.done();
  await finished(page);
  expect(await selected(), "the complete answer is the one that grew").toBe("Kelp It holds");
  await expect(bubble.getByRole("heading", { name: "Kelp" })).toBeVisible();
  await expect(bubble.locator("li")).toHaveText(["on rock", "not on sand", "third", "[x] done"]);
  await expect(bubble.locator("ol")).toHaveAttribute("start", "3");
  await expect(bubble.getByRole("cell", { name: "9 m" })).toBeVisible();
  await expect(bubble.locator("blockquote > cite, blockquote > p > cite")).toHaveText("kelp.md");
  await expect(bubble.getByRole("link")).toHaveAttribute("href", "https://example.com/kelp");
  await expect(bubble.getByRole("link")).toHaveAttribute("target", "_blank");

  const copy = message(page).getByRole("button", { name: "Copy" });
  await copy.focus();
  await page.keyboard.press("Enter");
  await expect(page.locator("#live")).toHaveText("Copied");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(written.join(""));
  await page.getByLabel("Message", { exact: true }).focus();
  await expect(copy).toBeVisible();
});

test("Escape stops what runs, but what is open it only closes", async ({ model, page, server }) => {
  await visit(page, server);
  await page.setViewportSize({ width: 700, height: 800 });
  await connect(page, model);
  const text = page.getByLabel("Message", { exact: true });
  await say(page, "What now?");
  const call = await model.next();
  call.stream("One");
  await expect(answer(page)).toHaveText("One");
  await page.getByRole("button", { name: "Conversations and files" }).click();
  const remove = page.getByRole("button", { name: "Delete “What now?”" });
  await remove.click();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(remove).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(remove).toBeHidden();
  await page.getByLabel("Who answers").press("Escape");
  await text.dispatchEvent("keydown", { key: "Escape", isComposing: true, bubbles: true });
  call.stream(" and two");
  await expect(answer(page), "it runs still").toHaveText("One and two");
  await text.fill("And then?");
  await text.press("Escape");
  await expect(message(page)).toContainText("Cancelled.");
  await call.gone;
  await expect(text).toBeFocused();
  await expect(text).toHaveValue("And then?");
  await message(page).getByRole("button", { name: "Try again" }).click();
  await model.next();
  await message(page).getByRole("button", { name: "Cancel" }).press("Escape");
  await expect(message(page).getByRole("button", { name: "Try again" })).toBeFocused();
});

test("at the first visit the sample notes are there; once deleted they stay so", async ({ page, server }) => {
  const names = page.locator("#files > li bdi");
  await page.setViewportSize({ width: 1300, height: 800 });
  await page.goto(`${server.origin}/demo/`);
  await expect(names).toHaveText(["kelp.md", "lighthouse.md", "tides.md"]);
  await say(page, "How fast does kelp grow?");
  await allow(page);
  await finished(page);
  await expect(answer(page).locator("cite").first()).toHaveText(/^kelp\.md/);
  for (let left = 3; left > 0; left--) {
    await page.getByRole("button", { name: "Delete the file" }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await expect(names).toHaveCount(left - 1);
  }
  await page.reload();
  await expect(page.getByLabel("Message", { exact: true })).toBeEnabled();
  await expect(page.getByRole("button", { name: "Add three sample notes" })).toBeVisible();
  await expect(names).toHaveCount(0);
});

test("messages are a log that is not read out twice, and no part of an id is shown", async ({ model, page, server }) => {
  await visit(page, server);
  await connect(page, model);
  for (const [i, said] of ["One.", "Two."].entries()) {
    await say(page, `Question ${i}`);
    const call = await model.next();
    call.stream(said);
    call.done();
    await finished(page, i);
  }
  const messages = page.getByRole("log", { name: "Messages" });
  await expect(messages).toHaveAttribute("aria-live", "off");
  await expect(messages).toContainText("Two.");
  await expect(page.locator("#live")).toHaveText("The agent said: Two.");
  await expect(page.locator("#log > li[data-kind=message_received] .number")).toHaveText(["#1", "#2"]);
  await expect(page.locator("#log > li").last().locator(".number")).toHaveText("#2");
  await expect(page.locator(".meta")).toHaveText([/^\d\d:\d\d( [AP]M)?$/, /^\d\d:\d\d( [AP]M)?$/]);
  const hex = await page.evaluate(() => document.body.innerText.match(/\b(?=[a-f]*\d)(?=\d*[a-f])[\da-f]{4,}\b/g));
  expect(hex).toBe(null);
});
