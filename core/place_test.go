package core_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

func TestPath(t *testing.T) {
	key := core.Key{0xab, 15: 0x01}
	const hash = "ab000000000000000000000000000001"
	agent := core.ScopePath("", "agent")
	pay := core.FunctionPath((&core.Place{}).Path("pay"))
	for _, tt := range []struct {
		step  string
		place core.Place
		want  string
	}{
		{"plan", core.Place{}, "plan#0"},
		{"plan", core.Place{Count: 12}, "plan#12"},
		{"plan", core.Place{Key: key}, "plan=" + hash},
		{"plan", core.Place{Key: key, Count: 1}, "plan=" + hash + "#1"},
		{"plan", core.Place{Scope: agent}, "agent:/plan#0"},
		{"plan", core.Place{Scope: core.ScopePath(agent, "inner")}, "agent:/inner:/plan#0"},
		{"plan", core.Place{Scope: pay}, "pay#0/plan#0"},
		{"plan", core.Place{Scope: core.ScopePath(pay, "inner")}, "pay#0/inner:/plan#0"},
		{"a/b", core.Place{}, "a%2Fb#0"},
		{"a#0", core.Place{}, "a%230#0"},
		{"a:", core.Place{Scope: core.ScopePath("", "b:/c")}, "b%3A%2Fc:/a%3A#0"},
		{"100% = päckchen-📦", core.Place{}, "100%25 %3D päckchen-📦#0"},
		{"%2F", core.Place{}, "%252F#0"},
		// Neither tells one step from another.
		{"plan", core.Place{After: 7, Called: 1}, "plan#0"},
	} {
		if got := tt.place.Path(tt.step); got != tt.want {
			t.Errorf("%q at %+v has the path %q, want %q", tt.step, tt.place, got, tt.want)
		}
	}
}

// TestPathsOfDifferentPlaces: no two of them have one path, whatever names are
// chosen to make it so.
func TestPathsOfDifferentPlaces(t *testing.T) {
	names := []string{"a", "b", "a/b", "a#0", "a:", "a:/", "a%2Fb", "%", "#", "=", "/", "a=" + strings.Repeat("0", 31) + "1", "0"}
	keys := []core.Key{{}, {15: 1}, {1}}
	random := rand.New(rand.NewPCG(1, 4))
	seen := map[string]string{} // by path, who has it
	for range 20_000 {
		// A scope is a list of scopes and steps, and a step is the last of one.
		scope, who := "", ""
		for depth := random.IntN(4); ; depth-- {
			name := names[random.IntN(len(names))]
			p := core.Place{Scope: scope, Key: keys[random.IntN(len(keys))], Count: random.Uint32N(3), After: random.Uint32(), Called: 1}
			step := fmt.Sprintf("%q %x %d", name, p.Key, p.Count)
			if depth == 0 {
				path := p.Path(name)
				if other, ok := seen[path]; ok && other != who+step {
					t.Fatalf("%q is the path of %s and of %s", path, other, who+step)
				}
				seen[path] = who + step
				break
			}
			if random.IntN(2) == 0 {
				scope, who = core.ScopePath(scope, name), who+fmt.Sprintf("scope %q, ", name)
			} else {
				scope, who = core.FunctionPath(p.Path(name)), who+"within "+step+", "
			}
		}
	}
	if len(seen) < 10_000 {
		t.Errorf("only %d places", len(seen))
	}
}

func TestFailureText(t *testing.T) {
	for _, tt := range []struct {
		failure core.Failure
		want    string
	}{
		{core.Failure{{Name: "TypeError", Message: "boom"}}, "TypeError: boom"},
		{core.Failure{{Message: "boom"}}, "boom"},
		{core.Failure{{Name: "AbortError"}}, "AbortError"},
		{core.Failure{{Name: "Error", Message: "a"}, {Name: "Error", Message: "b"}, {Message: "c"}}, "Error: a; caused by Error: b; caused by c"},
		{core.Failure{{}}, ""},
	} {
		if got := tt.failure.Error(); got != tt.want {
			t.Errorf("%+v reads %q, want %q", []core.Cause(tt.failure), got, tt.want)
		}
	}
}
