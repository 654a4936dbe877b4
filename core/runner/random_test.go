package runner_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// defaultHandlers are fewer in a browser, where there is one thread.
var defaultHandlers = map[bool]int{false: 500, true: 30}[runtime.GOOS == "js"]

var (
	handlers     = flag.Int("handlers", defaultHandlers, "how many handlers TestRandomHandlers draws")
	handlersSeed = flag.Uint64("handlers.seed", 1, "the seed of the first of them; 0 for a random one")
)

// TestRandomHandlers draws handlers out of all shapes, and has them killed after
// events of the log, some twice. `make handlers` is the long form, in which each
// is killed after every event.
func TestRandomHandlers(t *testing.T) {
	from := *handlersSeed
	if from == 0 {
		from = rand.Uint64N(1 << 40)
	}
	t.Logf("-handlers.seed=%d; handler N alone is -handlers=1 -handlers.seed=N", from)
	every := *handlers != defaultHandlers
	var runs atomic.Int64
	t.Run("all", func(t *testing.T) {
		for place := range uint64(runtime.GOMAXPROCS(0)) {
			t.Run(fmt.Sprint(place), func(t *testing.T) {
				t.Parallel()
				for seed := from + place; seed < from+uint64(*handlers) && !t.Failed(); seed += uint64(runtime.GOMAXPROCS(0)) {
					runs.Add(int64(playRandom(t, seed, every)))
				}
			})
		}
	})
	t.Logf("result: %d handlers, %d lives, %v; seed %d", *handlers, runs.Load(), map[bool]string{false: "0 wrong", true: "some are wrong"}[t.Failed()], from)
}

// playRandom runs the handler of a seed once, and then killed.
func playRandom(t *testing.T, seed uint64, every bool) (runs int) {
	draw := &drawing{Rand: rand.New(rand.NewPCG(seed, 0))}
	root := &node{kind: "seq", list: []*node{draw.tree(4), draw.tree(3), draw.leaf()}}
	length := uint64(0)
	play := func(kills ...uint64) {
		runs++
		random := rand.New(rand.NewPCG(seed, uint64(len(kills))))
		story(t, func(t *testing.T, memory *memstore.Store) {
			s := script{
				name:    fmt.Sprintf("-handlers.seed=%d, killed after %v events: %v", seed, kills, root),
				handler: func(h *hand) (string, error) { return root.run(h, "") },
				answer: func(string) string {
					if random.IntN(3) > 0 {
						return fmt.Sprint(random.IntN(10))
					}
					return ""
				},
				rerun:   random.IntN(2) > 0,
				trouble: map[bool]*rand.Rand{true: random}[seed%2 > 0],
				retry: func(w *world, m core.Message) bool {
					if w.retried >= 2 || strings.Contains(m.Error, "given up") {
						return false
					}
					label := ""
					if len(m.Steps) > 0 && random.IntN(2) > 0 {
						label = labelOf(m.Steps[random.IntN(len(m.Steps))])
					}
					w.retry(label)
					return true
				},
			}
			w := newWorld(t, s, memory)
			for i, at := range kills {
				if w.process(at, i == 0) {
					w.judge()
					return
				}
			}
			w.process(1<<40, len(kills) == 0)
			w.judge()
			if len(kills) == 0 {
				length = uint64(len(w.events()))
			}
		})
	}
	play()
	kill := func(first uint64) {
		if t.Failed() {
			return
		}
		if play(first); draw.IntN(2) > 0 && !t.Failed() {
			play(first, first+1+draw.Uint64N(8))
		}
	}
	for first := uint64(2); first <= length && every; first++ {
		kill(first)
	}
	for range min(length, 5) {
		kill(2 + draw.Uint64N(length))
	}
	return runs
}

// node is a part of a random handler.
type node struct {
	kind  string
	id    int
	name  string
	list  []*node
	n     int           // how often
	time  time.Duration // that it takes, or waits at most
	does  does          // of a step
	keyed int           // 0: without a key, 1: with the same one each time, 2: with a new one
}

func (n *node) String() string {
	text := fmt.Sprint(n.kind, n.id, n.name)
	if n.kind == "seq" {
		text = ""
	}
	if n.kind == "step" || n.kind == "nested" {
		text += fmt.Sprintf("{%v fails %d terminal %v policy %d key %d}", n.does.takes, n.does.fails, n.does.terminal, n.does.policy, n.keyed)
	}
	if n.list != nil {
		text += fmt.Sprint(n.list)
	}
	return text
}

// drawing draws a handler.
type drawing struct {
	*rand.Rand
	id, size int
}

func (d *drawing) of(kinds ...string) string { return kinds[d.IntN(len(kinds))] }

func (d *drawing) node(kind string, list ...*node) *node {
	d.id++
	return &node{kind: kind, id: d.id, name: d.of("a", "b", "c"), list: list, n: 2 + d.IntN(2), keyed: d.key()}
}

func (d *drawing) key() int { return []int{0, 0, 0, 1, 2}[d.IntN(5)] }

func (d *drawing) leaf() *node {
	d.size++
	n := d.node("step")
	switch d.IntN(12) {
	case 0:
		n.kind, n.time = "wait", time.Duration(d.IntN(2)*(2+d.IntN(8)))*time.Second
	case 1:
		n.kind, n.time = "sleep", time.Duration(d.IntN(3000))*time.Millisecond
	default:
		n.does = does{takes: ms(d.IntN(40)), terminal: d.IntN(12) == 0}
		if d.IntN(4) == 0 {
			n.does.fails = 1 + d.IntN(4)
		}
		if d.IntN(8) == 0 {
			n.does.policy = []runner.Policy{runner.Rerun, runner.Skip, runner.Ask}[d.IntN(3)]
			n.keyed = 2 // after a retry a number may mean another call
		}
	}
	return n
}

func (d *drawing) trees(depth, n int) []*node {
	list := make([]*node, n)
	for i := range list {
		list[i] = d.tree(depth - 1)
	}
	return list
}

func (d *drawing) tree(depth int) *node {
	if depth <= 0 || d.size > 20 {
		return d.leaf()
	}
	switch kind := d.of("leaf", "leaf", "seq", "seq", "loop", "try", "try", "finally", "together", "together", "race", "nested", "nested", "timeout", "scope", "recursion", "branch", "swallow"); kind {
	case "leaf":
		return d.leaf()
	case "seq", "try", "finally", "branch", "race":
		return d.node(kind, d.trees(depth, 2)...)
	case "together":
		return d.node(kind, d.trees(depth, 2+d.IntN(2))...)
	default:
		n := d.node(kind, d.tree(depth-1))
		n.does.fails = d.IntN(5) / 4
		return n
	}
}

// run runs the node. At is where it is in the handler: with it a call has a label
// of its own.
func (n *node) run(h *hand, at string) (string, error) {
	label := fmt.Sprint(n.id, at)
	key := n.key(h, label)
	within := func(i int) string { return fmt.Sprint(at, ".", i) }
	switch n.kind {
	case "step":
		d := n.does
		d.key = key
		return h.step(n.name, label, d)
	case "wait":
		o := runner.WaitOptions{Key: key, Pass: n.id%2 == 0}
		if n.time > 0 {
			o.Until = time.Now().Add(n.time)
		}
		return h.wait(n.name, label, o)
	case "sleep":
		return "slept", h.sleep(n.name, label, runner.WaitOptions{Key: key, Until: time.Now().Add(n.time)})
	case "seq":
		return each(len(n.list), func(i int) (string, error) { return n.list[i].run(h, within(i)) })
	case "loop":
		return each(n.n, func(i int) (string, error) { return n.list[0].run(h, within(i)) })
	case "recursion":
		var down func(depth int) (string, error)
		down = func(depth int) (string, error) {
			if depth == 0 {
				return "", nil
			}
			one, err := n.list[0].run(h, within(depth))
			if err != nil {
				return "", err
			}
			rest, err := down(depth - 1)
			return one + rest, err
		}
		return down(n.n)
	case "try":
		if value, err := n.list[0].run(h, within(0)); err == nil {
			return value, nil
		}
		return n.list[1].run(h, within(1))
	case "finally":
		value, err := n.list[0].run(h, within(0))
		last, errLast := n.list[1].run(h, within(1))
		return value + last, cmp.Or(err, errLast)
	case "swallow":
		value, err := n.list[0].run(h, at)
		if err != nil {
			value = "swallowed"
		}
		return value, nil
	case "scope":
		in := h.scope(n.name)
		in.branch = h.branch // the same goroutine
		value, err := n.list[0].run(in, at)
		h.last = in.last
		return value, err
	case "branch":
		hash := fnv.New32()
		_, _ = hash.Write([]byte(h.last))
		i := int(hash.Sum32()) & 1
		return n.list[i].run(h, within(i))
	case "together":
		return together(len(n.list), func(i int) (string, error) {
			b := h.beside(fmt.Sprint(label, "/", i)) // its steps need keys
			b.keyed = true
			if n.id%2 == 0 { // or a scope
				b = h.scope(fmt.Sprint("branch ", n.id, ".", i))
				b.branch = fmt.Sprint(h.branch, "/", label, "/", i)
			}
			return n.list[i].run(b, within(i))
		})
	case "nested":
		return h.step(n.name, label, does{key: key, fails: n.does.fails, body: func(h *hand) (string, error) { return n.list[0].run(h, at) }})
	case "timeout":
		retry := runner.Retry{MaxAttempts: 2, Timeout: 1500 * time.Millisecond}
		return h.step(n.name, label, does{key: key, retry: retry, body: func(h *hand) (string, error) { return n.list[0].run(h, at) }})
	case "race":
		return h.step(n.name, label, does{key: key, body: func(h *hand) (string, error) {
			first := make(chan outcome, len(n.list))
			for i, one := range n.list {
				go func() {
					value, err := one.run(h.scope(fmt.Sprint(i)), within(i))
					first <- outcome{value, err}
				}()
			}
			one := <-first
			return one.value, one.err
		}})
	default:
		return "", errors.New("there is no " + n.kind)
	}
}

type outcome struct {
	value string
	err   error
}

// key returns the key of a call. The same one again is the next step of that key,
// in the order of the calls, which goroutines have not.
func (n *node) key(h *hand, label string) string {
	switch {
	case h.keyed || n.keyed == 2:
		return label
	case n.keyed == 1:
		return fmt.Sprint("key ", n.id)
	default:
		return ""
	}
}
