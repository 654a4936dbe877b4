package core_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// An agent is killed in the middle of a message. Its successor finds the
// message in the log and goes on at the step after the last completed one.
func ExampleRecover() {
	ctx := context.Background()
	store := memstore.New()

	agent, err := core.New("chat-7", store)
	if err != nil {
		panic(err)
	}
	decision, err := agent.ReceiveMessage(ctx, "msg-1", 1_700_000_000_000, []byte("Which train to Leipzig?"))
	if err != nil {
		panic(err)
	}
	fmt.Println("first delivery:", decision.Kind)
	for step, output := range []string{"plan: look up trains", "found: ICE 508"} {
		if _, err := agent.RecordStepCompleted(ctx, "msg-1", uint32(step), []byte(output)); err != nil {
			panic(err)
		}
	}
	agent = nil // killed here: nothing but the log is left

	agent, err = core.Recover(ctx, "chat-7", store)
	if err != nil {
		panic(err)
	}
	for message := range agent.State().Received() {
		fmt.Printf("recovered: %q\n", message.Body)
		for _, step := range message.Steps {
			fmt.Printf("  step %d: %s\n", step.Index, step.Output)
		}
	}
	decision, err = agent.ReceiveMessage(ctx, "msg-1", 1_700_000_000_000, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("second delivery:", decision.Kind, "at step", decision.Step)

	// Output:
	// first delivery: start
	// recovered: "Which train to Leipzig?"
	//   step 0: plan: look up trains
	//   step 1: found: ICE 508
	// second delivery: resume at step 2
}

// Two tabs have the same conversation open. The one that appends second gets a
// conflict; it reads what the other wrote, and decides again.
func ExampleConversation_Refresh() {
	ctx := context.Background()
	store := memstore.New()
	first, _ := core.New("chat-7", store)
	second, _ := core.New("chat-7", store)

	decision, err := first.ReceiveMessage(ctx, "msg-1", 1, nil)
	fmt.Println("first tab:", decision.Kind, err)

	_, err = second.ReceiveMessage(ctx, "msg-1", 2, nil)
	var conflict *core.SequenceConflictError
	if errors.As(err, &conflict) {
		fmt.Println("second tab: expected", conflict.Expected, "but the head is", conflict.Actual)
	}
	if err := second.Refresh(ctx); err != nil {
		panic(err)
	}
	decision, err = second.ReceiveMessage(ctx, "msg-1", 2, nil)
	fmt.Println("second tab:", decision.Kind, err)

	// Output:
	// first tab: start <nil>
	// second tab: expected 0 but the head is 1
	// second tab: resume <nil>
}

// A chat window draws itself again whenever a message has changed.
func ExampleConversation_Subscribe() {
	ctx := context.Background()
	chat, err := core.New("chat-7", memstore.New())
	if err != nil {
		panic(err)
	}
	unsubscribe := chat.Subscribe(func(change core.Change) {
		for _, id := range change.Messages {
			message, _ := chat.State().Message(id)
			fmt.Printf("%d: %s, finished: %v\n", message.Position, message.ID, message.Finished)
		}
	})
	defer unsubscribe()

	if _, err := chat.ReceiveMessage(ctx, "msg-1", 1, []byte("Hello")); err != nil {
		panic(err)
	}
	if _, err := chat.RecordProcessingFinished(ctx, "msg-1"); err != nil {
		panic(err)
	}

	// Output:
	// 0: msg-1, finished: false
	// 0: msg-1, finished: true
}
