// An application that has installed the package. Each visit does one step of a message, as if the page then crashed; the
// title tells what the visit found and all that is in the log.
import { type Conversation, type Decision, open } from "@holdfast-dev/holdfast";

const id = "question";
const holdfast = await open();
const conversation: Conversation = await holdfast.recover("support");
const decision: Decision = await conversation.receiveMessage({ id, body: { text: "How deep is the sea?", at: new Date(0) } });
if (decision.kind !== "skip") {
  const step = decision.kind === "resume" ? decision.step : 0;
  if (step === 0) await conversation.recordProcessingStarted(id);
  await conversation.recordStepCompleted(id, step, { answer: `part ${step}` });
  if (step === 2) await conversation.recordProcessingFinished(id);
}
const parts = conversation.state.message(id)?.steps.map(({ output }) => (output as { answer: string }).answer) ?? [];
document.title = `${decision.kind}: ${parts.join(", ")}; ${(await conversation.events()).length} events`;
await holdfast.close();
