// What a component does with the React entry. Type-checked only, and without React's types: ours do not need them.
import type { Holdfast } from "@holdfast-dev/holdfast";
import { useConversation, type UseConversation } from "@holdfast-dev/holdfast/react";

export function useLines(holdfast: Holdfast | undefined): readonly string[] {
  const chat: UseConversation = useConversation(holdfast, "support");
  switch (chat.status) {
    case "opening":
      return [];
    case "open":
      return chat.state.messages.map(({ status }) => `${chat.conversation.id}: ${status}`);
    case "failed":
      return [chat.error.code];
  }
}
