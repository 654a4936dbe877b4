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
func readme(ctx context.Context, store core.DurableStore, ask func(context.Context, []byte) (string, error)) error {
	chat, err := core.Recover(ctx, "support", store) // of idbstore.Open in a browser, memstore.New anywhere
	if err != nil {
		return err
	}
	return runner.Run(ctx, chat, func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
		plan, err := runner.Step(ctx, a, "plan", func(ctx context.Context, call runner.Call) (string, error) {
			return ask(ctx, a.Message().Body)
		}, runner.StepOptions{})
		if err != nil {
			return nil, err // the message fails with it
		}
		return []byte(plan), nil
	}, runner.Options{})
}

func TestReadme(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	store := memstore.New()
	user, err := core.Recover(ctx, "support", store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := user.Send(ctx, "m1", 0, []byte("What is a holdfast?")); err != nil {
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
		_ = readme(ctx, store, func(_ context.Context, body []byte) (string, error) { return "to answer: " + string(body), nil })
	}()
	<-ended
	if m, _ := user.State().Message("m1"); string(m.Result) != "to answer: What is a holdfast?" {
		t.Errorf("the result is %q", m.Result)
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
