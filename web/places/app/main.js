// The application that each place runs: a form, a list, and an agent in three steps, which streams its answer. The model's
// address is in the query, so that it is there after a reload too.
import { open } from "@holdfast-dev/holdfast";

const model = new URLSearchParams(location.search).get("model");
const ask = (path, body, signal) => fetch(model + path, { method: "POST", body: JSON.stringify(body), signal });

/** The tokens of a stream whose lines are whole. A real one needs a real parser, as the guide has it. */
async function* tokens(response) {
  const lines = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let read = await lines.read(); !read.done; read = await lines.read())
    for (const [, data] of read.value.matchAll(/^data: (.*)$/gm)) {
      if (data === "[DONE]") return;
      yield JSON.parse(data).choices[0].delta.content ?? "";
    }
  throw new Error("cut off");
}

async function start() {
  // Where a place needs the address of the WebAssembly, its page says so.
  const holdfast = await open(globalThis.holdfastWasm === undefined ? {} : { wasm: globalThis.holdfastWasm });
  const chat = await holdfast.recover("support");
  chat.process(async ({ message, step }) => {
    const plan = await step("plan", async ({ signal }) => (await (await ask("/v1/chat/completions", { messages: [{ content: message.body }] }, signal)).json()).choices[0].message.content);
    const facts = await step("search", async ({ signal }) => (await ask("/search", { query: plan }, signal)).text());
    return step.stream("answer", async ({ signal }) => tokens(await ask("/v1/chat/completions", { stream: true, messages: [{ content: facts }] }, signal)));
  });

  const form = document.body.appendChild(document.createElement("form"));
  const question = form.appendChild(document.createElement("input"));
  form.appendChild(document.createElement("button")).textContent = "Ask";
  const list = document.body.appendChild(document.createElement("ul"));
  const show = () => {
    list.replaceChildren(
      ...chat.state.messages.map(({ body, status, result, openSteps }) => {
        const item = document.createElement("li");
        item.textContent = `${body} | ${status} | ${result ?? openSteps[0]?.chunks.join("") ?? ""}`;
        return item;
      }),
    );
  };
  chat.subscribe(show);
  show();
  form.onsubmit = (event) => {
    event.preventDefault();
    void chat.send({ body: question.value });
  };
}

start().catch((error) => {
  const failure = document.body.appendChild(document.createElement("p"));
  failure.id = "failure";
  failure.textContent = `${error.code}: ${error.message}`;
});
