package runner_test

import (
	"context"
	"fmt"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// A runner ends in the middle of a message. The next one goes on after the last
// completed step.
func Example() {
	store := memstore.New()
	plan := func(context.Context, runner.Call) (string, error) {
		fmt.Println("planning")
		return "look at the rock", nil
	}

	ctx, stop := context.WithCancel(context.Background())
	chat, _ := core.Recover(ctx, "chat", store)
	_, _ = chat.Send(ctx, "m1", 0, []byte("What is a holdfast?"))
	_ = runner.Run(ctx, chat, func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
		if _, err := runner.Step(ctx, a, "plan", plan, runner.StepOptions{}); err != nil {
			return nil, err
		}
		stop()
		<-ctx.Done()
		return nil, ctx.Err()
	}, runner.Options{})

	ctx, stop = context.WithCancel(context.Background())
	chat, _ = core.Recover(ctx, "chat", store)
	chat.Subscribe(func(core.Change) {
		if chat.State().IsFullyProcessed("m1") {
			stop()
		}
	})
	_ = runner.Run(ctx, chat, func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
		planned, err := runner.Step(ctx, a, "plan", plan, runner.StepOptions{})
		if err != nil {
			return nil, err
		}
		fmt.Println("the plan was to", planned)
		return []byte("what holds a kelp to its rock"), nil
	}, runner.Options{})
	m, _ := chat.State().Message("m1")
	fmt.Printf("%s\n", m.Result)

	// Output:
	// planning
	// the plan was to look at the rock
	// what holds a kelp to its rock
}
