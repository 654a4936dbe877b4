package core_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

var (
	randomStates = flag.Int("states", map[bool]int{false: 100, true: 10}[runtime.GOOS == "js"], "how many logs TestRandomStates draws")
	statesSeed   = flag.Uint64("states.seed", 1, "the seed of the first of them; 0 for a random one")
)

// TestRandomStates: whatever is in a log, the state that has grown with it is that
// of a replay, and of a snapshot with what came after it; neither its clones nor
// what was read of it change with it; and a verification finds nothing. `make
// model` is the long form.
func TestRandomStates(t *testing.T) {
	from := *statesSeed
	if from == 0 {
		from = rand.Uint64N(1 << 40)
	}
	for seed := from; seed < from+uint64(*randomStates) && !t.Failed(); seed++ {
		playLog(t, rand.New(rand.NewPCG(seed, 7)))
		if t.Failed() {
			t.Logf("-states=1 -states.seed=%d", seed)
		}
	}
	t.Logf("result: %d random logs; seed %d", *randomStates, from)
}

func playLog(t *testing.T, r *rand.Rand) {
	memory := memstore.New()
	live := recovered(t, "c", memory)
	type look struct {
		again func() string
		then  string
	}
	var looks []look
	keep := func(again func() string) { looks = append(looks, look{again, again()}) }
	for n := range 150 {
		e := randomEvent(r, live.State(), n)
		if err := live.Update(t.Context(), func(*core.State) ([]core.Event, error) { return []core.Event{e}, nil }); err != nil {
			t.Fatal(err)
		}
		switch r.IntN(40) {
		case 0:
			if err := live.SaveSnapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 1:
			clone := live.Clone().State()
			for i := range r.IntN(5) { // which live does not see, nor the clone what comes later
				clone.Apply(randomEvent(r, clone, 1000+i))
			}
			keep(func() string { return inWords(clone) })
		case 2:
			m, _ := live.State().Message(e.MessageID)
			keep(func() string { return fmt.Sprintf("%+v", m) })
		case 3:
			if r.IntN(5) == 0 {
				if err := memory.Delete(t.Context(), "c"); err != nil {
					t.Fatal(err)
				}
			}
		case 4:
			live = recovered(t, "c", memory)
		}
	}
	if err := live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	replayed := newConversation(t, "c", memory)
	if err := replayed.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := inWords(replayed.State())
	if got := inWords(live.State()); got != want {
		t.Errorf("the log says\n%s\nand the state is\n%s", want, got)
	}
	if got := inWords(recovered(t, "c", memory).State()); got != want {
		t.Errorf("the log says\n%s\nand from a snapshot the state is\n%s", want, got)
	}
	for _, one := range looks {
		if now := one.again(); now != one.then {
			t.Errorf("what was read as\n%s\nhas become\n%s", one.then, now)
		}
	}
	if found, err := core.Verify(t.Context(), "c", memory); err != nil || len(found.Damage) > 0 || found.Snapshot == core.SnapshotDamaged {
		t.Errorf("verify finds %+v, %v", found, err)
	}
}

func inWords(s *core.State) string { return fmt.Sprintf("%+v", known(s)) }
