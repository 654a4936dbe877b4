//go:build !race

package core_test

import (
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

// Under the race detector sync.Pool drops at random, so this is measured
// without it, as the tests in the browser are.

func TestCodecAllocations(t *testing.T) {
	e := goldenEvents["step_output_of_256"]
	b, err := core.EncodeEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = core.EncodeEvent(e) }); n > 1 {
		t.Errorf("encoding allocates %v times, want once: the result", n)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = core.DecodeEvent(b) }); n > 0 {
		t.Errorf("decoding an event of the message before allocates %v times, want never", n)
	}
}
