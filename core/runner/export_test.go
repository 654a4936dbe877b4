package runner

import (
	"context"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// Decode decodes an output that is stored.
func Decode[T any](stored []byte) (T, error) { return decode[T]("step", stored) }

// Encoded returns value as an output is stored.
func Encoded(t testing.TB, value any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Context returns the context of the function whose steps s are.
func (s *Steps) Context() context.Context { return s.fn.ctx }
