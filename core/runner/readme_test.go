//go:build !js

package runner_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// readme is the code of the README.
func readme(ctx context.Context, store core.DurableStore, ask func(context.Context, string) (string, error)) error {
	chat, err := core.Recover(ctx, "support", store) // of idbstore.Open in a browser, memstore.New anywhere
	if err != nil {
		return err
	}
	return runner.Run(ctx, chat, runner.Handle(func(ctx context.Context, a *runner.Attempt) (string, error) {
		question, err := runner.Body[string](a)
		if err != nil {
			return "", err // the message fails with it
		}
		return runner.Step(ctx, a, "plan", func(ctx context.Context, call runner.Call) (string, error) {
			return ask(ctx, question)
		}, runner.StepOptions{})
	}), runner.Options{})
}

func TestReadme(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	store := memstore.New()
	user, err := core.Recover(ctx, "support", store)
	if err != nil {
		t.Fatal(err)
	}
	body, err := runner.Encode("What is a holdfast?")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := user.Send(ctx, "m1", 0, body); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	user.Subscribe(func(core.Change) {
		if user.State().IsFullyProcessed("m1") {
			close(ended)
		}
	})
	go func() { _ = user.Follow(ctx) }()
	go func() {
		_ = readme(ctx, store, func(_ context.Context, question string) (string, error) { return "to answer: " + question, nil })
	}()
	<-ended
	m, _ := user.State().Message("m1")
	if result, err := runner.Decode[string](m.Result); err != nil || result != "to answer: What is a holdfast?" {
		t.Errorf("the result is %q, %v", m.Result, err)
	}

	document, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(document), "```go\n")
	code, _, _ = strings.Cut(code, "```\n")
	code = "\t" + strings.ReplaceAll(strings.TrimSuffix(code, "\n"), "\n", "\n\t")
	if code == "\t" || !strings.Contains(string(source), code) {
		t.Errorf("the README has other code:\n%s", code)
	}
}
