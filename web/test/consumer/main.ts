// An application that has installed the package: each visit appends one message to a conversation.
import { type Conversation, open } from "@holdfast-dev/holdfast";

const holdfast = await open();
const conversation: Conversation = await holdfast.recover("visits");
await conversation.receiveMessage({ id: `visit-${conversation.expectedSeq}`, body: { at: new Date() } });
document.title = `visits: ${conversation.state.messages.length}`;
await holdfast.close();
