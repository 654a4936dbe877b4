// The demo in one tab: answers in steps, crashed in the middle of what it does, hostile content, failures.
import { join } from "node:path";
import { addSamples, allow, answer, asked, asks, banner, chats, comeBack, finished, message, once, question, recovered, role, running, say, step, stories, stranger, test, visit } from "../harness/demo.js";
import { remembered } from "../harness/memory.js";
import { recordKey } from "../harness/record.js";
import { expect } from "../harness/test.js";

const hostile = `<img src=x onerror=ran()><script>ran()</script>`;

test("a message is answered in visible steps with quotes from the files, and the log shows each as it is stored", async ({ context, page, server }) => {
  await visit(page, server);
  await expect(role(page)).toHaveText("Ready");
  await expect(banner(page)).toBeHidden();
  await addSamples(page);
  await say(page, question);
  for (const name of ["question", "exact", "search"]) await running(page, name);
  await expect(role(page)).toHaveText("The agent works here");
  await expect(asks(page)).toContainText("kelp.md and lighthouse.md say something about it, and kelp.md fits best.");
  await expect(role(page)).toHaveText("The agent asks you");
  await expect(step(page, "exact")).toContainText("no file says it in these words; search in its place");
  await expect(step(page, "search")).toContainText(/\d passages in 3 files/);
  await expect(step(page, "consent")).toContainText("Read all files?");
  await allow(page);
  for (const name of ["read", "compare", "answer"]) await running(page, name);
  await expect(step(page, "consent")).toContainText("all 2 files");
  await finished(page);
  await expect(answer(page).locator("blockquote").first()).toContainText("holdfast");
  await expect(answer(page).locator("cite").first()).toHaveText("kelp.md, The holdfast");
  await expect(answer(page).locator("blockquote", { hasText: "storm of January 1953" }).locator("cite")).toHaveText("lighthouse.md, Storms");
  const rows = page.locator("#log > li:not([data-kind^=processing_]):not([data-kind=step_streamed]):not([data-kind=metadata_set]) .kind");
  const completed = Array<string>(6).fill("step_completed");
  await expect(rows).toHaveText(["message_received", "step_completed", "step_failed", "step_completed", "step_waiting", "step_completed", ...completed.slice(1)]);
  await expect(page.locator("#log > li[data-kind=step_failed]")).toContainText("1 exact Error: no file says it in these words");
  await expect(page.locator("#log > li[data-kind=step_waiting]")).toContainText("3 consent Read all files?");
  const streamed = await page.locator("#log > li[data-kind=step_streamed]").count();
  expect(streamed, "the answer came in parts").toBeGreaterThan(2);
  const count = await page.locator("#log > li").count();
  await expect(page.locator("#log > li .sequence")).toHaveText(Array.from({ length: count }, (_, i) => String(i)));
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([asked(2)]);

  await page.reload();
  await expect(banner(page)).toContainText(new RegExp(`^Recovered ${count} events in (under 1|\\d+) ms, nothing left to do\\.$`));
  await page.getByRole("button", { name: "Dismiss what was recovered" }).click();
  await expect(banner(page)).toBeHidden();
});

test("after a crash in the middle of a step it goes on at that step, and those that wait keep their turn", async ({ context, page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, question);
  await say(page, "And the tide?"); // a file has these words, so nothing is searched or asked
  await allow(page);
  await running(page, "compare");
  await page.getByRole("button", { name: "Crash" }).click();
  await expect(page.getByText("The page is gone, mid-step.")).toBeVisible();
  await page.getByRole("link", { name: "Reload" }).click();
  await recovered(page, 5);
  await expect(banner(page)).toContainText("1 more message waits its turn.");
  await finished(page);
  await running(page, "question", 1);
  await finished(page, 1);
  await expect(answer(page)).toContainText("holdfast");
  await expect(answer(page, 1)).toContainText("tide");
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([
    asked(2),
    ["received", "question", "exact", "file", "read", "compare", "answer", "finished"],
  ]);
});

test("the same after SIGKILL of the whole browser, and the files are still there", { tag: "@launch" }, async ({ launch, server }) => {
  const first = await launch();
  const before = await first.newPage();
  await visit(before, server);
  await addSamples(before);
  await say(before, question);
  await running(before, "search");
  await first.kill();

  const second = await launch();
  const page = await second.newPage();
  await visit(page, server);
  await recovered(page, 2);
  await expect(page.locator("#files > li")).toContainText(["kelp.md", "lighthouse.md", "tides.md"]);
  await allow(page);
  await finished(page);
  await expect(answer(page)).toContainText("holdfast");
  expect(await stories(await stranger(await second.newPage(), server))).toEqual([asked(2)]);
});

test("the answer can be read as it comes, and what came before a crash is there until the new one begins", async ({ page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, question);
  await allow(page);
  // In the page: a click from outside may come after the last word.
  await page.evaluate(() => {
    const timer = setInterval(() => {
      if (document.querySelector(".partial")?.textContent?.includes("This is what") !== true) return;
      clearInterval(timer);
      document.querySelector<HTMLButtonElement>("#crash")?.click();
    }, 20);
  });
  await page.getByRole("link", { name: "Reload" }).click();
  await recovered(page, 6);
  await finished(page);
  await expect(message(page).locator(".partial")).toHaveCount(0);
  await expect(answer(page)).toContainText("holdfast");
});

test("after one visit it starts and answers without a network, and it can be installed", async ({ page, server }) => {
  await visit(page, server);
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  server.cut();
  await page.goto("about:blank");
  await visit(page, server);
  await addSamples(page);
  await say(page, question);
  await allow(page);
  await finished(page);
  await expect(answer(page)).toContainText("holdfast");
  const session = await page.context().newCDPSession(page);
  const { errors } = await session.send("Page.getAppManifest");
  expect(errors).toEqual([]);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  expect(installabilityErrors.map(({ errorId }) => errorId)).toEqual([]);
  server.restore();
});

test("stored content is shown as text, whatever it is and wherever it stands", async ({ complaints, context, page, server }) => {
  const tab = await stranger(await context.newPage(), server, "chat/hostile");
  await tab.evaluate(async ({ conversation }, hostile) => {
    await conversation.receiveMessage({ id: hostile, body: { text: hostile } });
    await conversation.recordStepCompleted(hostile, 0, { line: hostile });
    await conversation.recordStepCompleted(hostile, 4, `> ${hostile}\n— ${hostile}\n\n${hostile}`);
    await conversation.recordError(hostile, hostile);
    await conversation.recordProcessingFinished(hostile);
    // And values of other shapes than the demo's.
    await conversation.receiveMessage({ id: "\u202e", body: [hostile, new Uint8Array(3)], receivedAt: Number.MAX_SAFE_INTEGER });
    await conversation.recordStepCompleted("\u202e", 0, null);
    await conversation.recordProcessingFinished("\u202e");
    await conversation.receiveMessage({ id: "failing", body: { text: hostile, agent: "constructor" } });
    // An agent that stores other things in the same steps, and asks other questions.
    const asking = new Promise<void>((resolve) => conversation.subscribe(() => conversation.state.message("failing")?.status === "waiting" && resolve()));
    const stop = conversation.process(async ({ step }) => {
      await step("question", () => hostile);
      await step("exact", () => ({ passages: hostile }));
      await step.wait("consent", { prompt: { text: hostile, about: hostile, choices: [hostile, { label: hostile, answer: hostile }] } });
    });
    await asking;
    await stop();
  }, hostile);
  await visit(page, server);
  await message(page, 2).getByRole("group", { name: hostile }).getByRole("button", { name: hostile }).last().click();
  // It goes on with what was stored, and that is not what it needs.
  await expect(message(page, 2)).toContainText("It has failed. TypeError");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect.poll(() => complaints.length, { message: "the fault of an agent is told to the developer, each time" }).toBe(2);
  expect(complaints.splice(0).join()).toContain("TypeError");
  await page.locator("#file-chooser").setInputFiles({ name: `${hostile.replaceAll("/", "\\")}.md`, mimeType: "text/markdown", buffer: Buffer.from(`# ${hostile}\n\nran ${hostile}`) });
  await say(page, hostile);
  await finished(page, 3);
  await expect(page.locator(".bubble.person", { hasText: hostile })).toHaveCount(4);
  await expect(answer(page)).toContainText(hostile);
  await expect(answer(page).locator("cite")).toHaveText(hostile);
  await expect(page.locator("#chats")).toContainText("<img src=x");
  await expect(page.locator("#files")).toContainText("<img src=x");
  await expect(page.locator("#log")).toContainText("<script>ran()</script>");
  await expect(page.locator("#messages, #log, #chats, #files").locator("img, script, [onerror]")).toHaveCount(0);
});

test("the page's policy lets no script in that it does not bring", async ({ complaints, page, server }) => {
  await visit(page, server);
  const refused = await page.evaluate(() => {
    try {
      document.body.insertAdjacentHTML("beforeend", "<p>markup</p>");
      return "";
    } catch (error) {
      return String(error);
    }
  });
  expect(refused).toContain("TrustedHTML");
  expect(complaints.splice(0).join()).toContain("TrustedHTML");
});

test("failures are told with their code, and with the way on", async ({ complaints, context, page, server }) => {
  const failure = page.getByRole("alert");
  await comeBack(page);
  await page.route("**/*.wasm", (route) => route.fulfill({ status: 404 }));
  await page.goto(`${server.origin}/demo/`);
  await expect(failure).toContainText("instance_lost");
  expect(complaints.splice(0).join()).toContain("404");
  await page.unroute("**/*.wasm");
  await failure.getByRole("button", { name: "Reopen" }).click();
  await expect(failure).toBeHidden();
  await expect(role(page)).toHaveText("Ready");

  await say(page, question);
  await running(page, "search");
  // What a browser does whose disk is full.
  const add = await page.evaluateHandle(() => {
    const before = Object.getOwnPropertyDescriptor(IDBObjectStore.prototype, "add") ?? {};
    IDBObjectStore.prototype.add = () => {
      throw new DOMException("the disk is full", "QuotaExceededError");
    };
    return before;
  });
  await expect(failure).toContainText("quota_exceeded");
  await page.getByLabel("Message", { exact: true }).fill("Hello there!");
  await page.evaluate(() => {
    document.querySelector("form")?.requestSubmit();
    const text = document.querySelector("textarea");
    if (text !== null) text.value = "And this, typed meanwhile.";
  });
  await expect(page.getByLabel("Message", { exact: true }), "what could not be sent is not lost").toHaveValue("Hello there!\n\nAnd this, typed meanwhile.");
  await expect(role(page)).toHaveText("The agent has stopped");
  await expect(page.locator("[data-state=running]")).toHaveCount(0);
  await add.evaluate((add) => Object.defineProperty(IDBObjectStore.prototype, "add", add));
  await failure.getByRole("button", { name: "Go on" }).click();
  await running(page, "search");
  await page.getByLabel("Message", { exact: true }).press("Enter");
  await finished(page);
  await finished(page, 1);
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([once(), once()]);
});

test("an input method's Enter sends nothing, as Safari has it, too", async ({ page, server }) => {
  await visit(page, server);
  const text = page.getByLabel("Message", { exact: true });
  await text.fill("かな");
  for (const composed of [{ isComposing: true }, { keyCode: 229 }]) await text.dispatchEvent("keydown", { key: "Enter", cancelable: true, ...composed });
  await expect(text).toHaveValue("かな");
  await expect(message(page)).toHaveCount(0);
});

test("over HTTP from another computer it works, and says what does not", async ({ page, site }) => {
  await page.route("http://demo.test/**", (route) => {
    const { pathname } = new URL(route.request().url());
    return route.fulfill({ path: join(site, pathname === "/" ? "index.html" : pathname) });
  });
  await page.goto("http://demo.test/");
  expect(await page.evaluate(() => isSecureContext)).toBe(false);
  await expect(page.getByRole("alert")).toContainText("This page came over HTTP");
  await page.getByRole("button", { name: "Dismiss the error" }).click();
  await expect(page.getByLabel("Message", { exact: true })).toBeFocused();
  await say(page, question);
  await expect(role(page)).toHaveText("The agent works here");
});

test("a conversation that has lost its end says so, and goes on with what is left", async ({ page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, question);
  await allow(page);
  await finished(page);
  const [id, head] = await page.evaluate(
    () =>
      new Promise<[string, number]>((resolve) => {
        const opening = indexedDB.open("holdfast-demo");
        opening.onsuccess = () => {
          const keys = opening.result.transaction("records").objectStore("records").getAllKeys();
          keys.onsuccess = () => {
            const last = keys.result.map((key) => new Uint8Array(key as ArrayBuffer)).findLast((key) => new TextDecoder().decode(key).startsWith("chat/"));
            resolve([new TextDecoder().decode(last?.slice(0, -9)), last?.at(-1) ?? 0]);
          };
        };
      }),
  );
  await expect.poll(async () => (await remembered(page, "holdfast-demo"))[id]).toBe(head);
  await page.evaluate(
    (key) =>
      new Promise((resolve) => {
        const opening = indexedDB.open("holdfast-demo");
        opening.onsuccess = () => {
          const writing = opening.result.transaction("records", "readwrite");
          writing.objectStore("records").delete(new Uint8Array(key));
          writing.oncomplete = resolve;
        };
      }),
    [...recordKey(id, head)],
  );
  await page.reload();
  await expect(page.locator("#error")).toContainText(`has lost its end, sequences ${head - 1} to ${head - 1}`);
  await finished(page); // the last step is done again
  await page.getByRole("button", { name: "Dismiss the error" }).click();
  await page.reload();
  await expect(banner(page)).toContainText(/Recovered \d+ events/);
  await expect(page.locator("#error")).toBeHidden();
});

test("a damaged conversation is shown as such, and the others work", async ({ page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, "Which conversation is damaged?");
  await finished(page);
  await page.getByRole("button", { name: "New" }).click();
  await say(page, question);
  await allow(page);
  await finished(page);
  // The record of the first conversation's first event, and a file's.
  const lost = await page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const opening = indexedDB.open("holdfast-demo");
        opening.onsuccess = () => {
          const records = opening.result.transaction("records", "readwrite").objectStore("records");
          let first: string | undefined;
          let removed = 0;
          records.openCursor().onsuccess = ({ target }) => {
            const cursor = (target as IDBRequest<IDBCursorWithValue | null>).result;
            if (cursor === null) return resolve(removed);
            const [name = ""] = new TextDecoder().decode(cursor.key as ArrayBuffer).split("\0");
            const damaged = name.startsWith("chat/") ? first === undefined : name === "file/tides.md";
            if (damaged) {
              removed++;
              cursor.update(new Uint8Array(20));
            }
            if (name.startsWith("chat/")) first ??= name;
            cursor.continue();
          };
        };
      }),
  );
  expect(lost).toBe(2);
  await page.reload();
  await expect(page.locator("#damaged"), "nobody has looked at it").toBeHidden();
  await chats(page).filter({ hasText: "Which conversation is damaged?" }).locator(".entry").click();
  await expect(page.locator("#damaged > li")).toHaveText(/^Damaged: \d+ of \d+ events can be read, all but 0( to \d+)? \(corrupt\)×$/);
  await expect(chats(page)).toHaveCount(1);
  await expect(banner(page)).toContainText(/Recovered \d+ events/);
  await say(page, "And what does a storm do?");
  await finished(page, 1);
  await expect(step(page, "search", 1)).toContainText("in 2 files");
  await page.getByRole("button", { name: "Delete the damaged conversation" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(page.locator("#damaged")).toBeHidden();
  await expect(chats(page)).toHaveCount(1);
});

test("on a narrow screen all is said and in sight, and the log follows after its panel was open", async ({ page, server }) => {
  await visit(page, server);
  await expect(page.getByText("(under ☰)")).toBeHidden();
  await page.setViewportSize({ width: 360, height: 740 });
  await expect(page.getByText("(under ☰)")).toBeVisible();
  await page.getByRole("button", { name: "Conversations and files" }).click();
  await addSamples(page);
  await page.keyboard.press("Escape");
  await say(page, question);
  await allow(page);
  await expect(role(page)).toHaveText("The agent works here");
  const { clientWidth, scrollWidth } = await role(page).evaluate(({ clientWidth, scrollWidth }) => ({ clientWidth, scrollWidth }));
  expect(scrollWidth, "nothing is cut off").toBe(clientWidth);
  await finished(page);
  const last = page.locator("#log > li").last();
  await expect(last, "it is closed").toBeHidden();
  await page.getByRole("button", { name: "Show" }).click();
  await expect(last).toBeInViewport({ ratio: 1 });
  await page.getByRole("button", { name: "Hide" }).click();
  await expect(last).toBeHidden();
  await say(page, "And the tide?");
  await finished(page, 1);
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page.locator("#log > li").last(), "it follows").toBeInViewport({ ratio: 1 });
});
