package runner_test

import (
	"context"
	"fmt"
	"time"

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

// What JavaScript has sent is a struct here, and it reads the result.
func ExampleHandle() {
	type question struct {
		Text  string   `msgpack:"text"`
		Files []string `msgpack:"files,omitempty"`
	}
	type answer struct {
		Text string    `msgpack:"text"`
		At   time.Time `msgpack:"at"` // a Date there
	}
	ctx, stop := context.WithCancel(context.Background())
	chat, _ := core.Recover(ctx, "chat", memstore.New())
	body, _ := runner.Encode(map[string]any{"text": "What is a holdfast?"})
	_, _ = chat.Send(ctx, "m1", 0, body)
	chat.Subscribe(func(core.Change) {
		if chat.State().IsFullyProcessed("m1") {
			stop()
		}
	})
	_ = runner.Run(ctx, chat, runner.Handle(func(ctx context.Context, a *runner.Attempt) (answer, error) {
		q, err := runner.Body[question](a)
		if err != nil {
			return answer{}, err
		}
		return answer{q.Text + " What holds a kelp to its rock.", time.UnixMilli(5)}, nil
	}), runner.Options{})
	m, _ := chat.State().Message("m1")
	result, _ := runner.Decode[answer](m.Result)
	fmt.Println(result.Text, result.At.UnixMilli())

	// Output:
	// What is a holdfast? What holds a kelp to its rock. 5
}
