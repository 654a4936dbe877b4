package runner

import (
	"context"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
)

// Encoded returns value as an output is stored.
func Encoded(t testing.TB, value any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Store returns the store of the conversation.
func (c *Called) Store() core.DurableStore { return c.steps.attempt.runner.Store() }

// Deliver makes an outcome that of the function that has called the step.
func (c *Called) Deliver(step core.Step, err error) ([]byte, error) { return c.deliver(step, err) }

// Context returns the context of the function whose steps s are.
func (s *Steps) Context() context.Context { return s.fn.ctx }
