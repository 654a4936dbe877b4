//go:build !js

package idbstore

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

var memorySeeds = flag.Int("memory.seeds", 300, "how many histories TestRememberedAtRandom makes")

// memoryModel is several tabs over one database, of which none but the truth of
// the model knows all. Tabs end in an orderly way or not, the database is
// emptied, the browser crashes and has lost the end of a log, and what is beside
// the database cannot be read, written or locked, is removed or damaged.
type memoryModel struct {
	*testing.T
	r      *rand.Rand
	d      *disk
	tabs   []*memoryTab
	broken string               // the step that goes wrong with what is beside
	logs   map[string]memoryLog // of the database that is there
	resets map[[2]string]bool   // from one epoch to another, that were reported
	before memory               // what was remembered after the last action
	done   map[string]int       // how often what has happened
}

type memoryLog struct {
	head, furthest uint64
	cuts, told     int // how often its end was lost, and the last time that it is remembered to have been told
}

type memoryTab struct {
	*Store
	die   context.CancelFunc // nothing that it asks for is done any more
	found memory             // what was remembered when it was opened
	logs  map[string]memoryLog
	owes  map[string]uint64 // heads that are to be remembered
	told  map[string]int    // cuts
	reset bool              // it has noticed that
}

// mortalEngine is a tab that can die.
type mortalEngine struct {
	*fakeEngine
	life context.Context
}

func (e mortalEngine) recall(ctx context.Context) (string, error) {
	if e.life.Err() != nil {
		return "", errDead
	}
	return e.fakeEngine.recall(ctx)
}

func (e mortalEngine) lock(ctx context.Context, name string, waits bool) (core.Lock, bool, error) {
	if e.life.Err() != nil {
		return nil, true, errDead
	}
	return e.fakeEngine.lock(ctx, name, waits)
}

func (e mortalEngine) remember(ctx context.Context, text string) error {
	if e.life.Err() != nil {
		return errDead
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(e.life, func() { cancel(errDead) })()
	return e.fakeEngine.remember(ctx, text)
}

func (m *memoryModel) epoch() string { return fmt.Sprintf("epoch-%d", m.d.epoch) }

// open opens a tab, and checks what it is told.
func (m *memoryModel) open() {
	found := m.d.remembered()
	life, die := context.WithCancel(context.Background())
	s, err := start(context.Background(), mortalEngine{&fakeEngine{m.d}, life}, 0)
	reset := [2]string{found.epoch, m.epoch()}
	replaced := found.epoch != "" && found.epoch != m.epoch() && !m.resets[reset]
	switch {
	case errors.Is(err, core.ErrStoreReset) && replaced:
		m.done["reset"]++
		m.resets[reset] = true
		die()
	case err == nil && (!replaced || m.broken == "recall"):
		if m.broken == "recall" {
			found = memory{}
		}
		m.tabs = append(m.tabs, &memoryTab{Store: s, die: die, found: found, logs: maps.Clone(m.logs), owes: map[string]uint64{}, told: map[string]int{}})
	default:
		die()
		m.Errorf("open: %v; remembered is %q, it is %q, reported before: %v", err, found.epoch, m.epoch(), m.resets[reset])
	}
}

// noticed reports whether err says that the database of b was replaced, as it is
// to say if it was.
func (m *memoryModel) noticed(b *memoryTab, err error) bool {
	if is := b.Epoch() != m.epoch() || m.d.stores == nil; is != errors.Is(err, core.ErrStoreReset) {
		m.Errorf("a tab of %q says %v, and it is %q", b.Epoch(), err, m.epoch())
	}
	if !errors.Is(err, core.ErrStoreReset) {
		return false
	}
	if !b.reset {
		m.done["noticed late"]++
		m.resets[[2]string{b.Epoch(), m.epoch()}] = true
		b.reset = true
	}
	return true
}

func (m *memoryModel) append(b *memoryTab, stream string) {
	log := m.logs[stream]
	_, err := b.Append(context.Background(), stream, log.head, []byte("x"))
	if m.noticed(b, err) {
		return
	}
	if err != nil {
		m.Errorf("append: %v", err)
	}
	log.head++
	log.furthest = max(log.furthest, log.head)
	m.logs[stream] = log
	b.owes[stream] = log.head
}

// recover asks for a lost end, as Recover does.
func (m *memoryModel) recover(b *memoryTab, stream string) {
	if _, err := b.Streams(context.Background(), ""); m.noticed(b, err) {
		return
	}
	log := m.logs[stream]
	reached := b.LostEnd(stream, log.head, true)
	switch {
	case reached == 0:
	case reached <= log.head || reached > log.furthest:
		m.Errorf("%s ends at %d, went to %d, and %d is reported", stream, log.head, log.furthest, reached)
	case b.told[stream] == log.cuts || b.logs[stream].told == log.cuts:
		m.Errorf("%s has lost its end %d times, and the last loss is reported once more", stream, log.cuts)
	default:
		m.done["lost end"]++
		b.told[stream] = log.cuts
	}
	for _, r := range b.found.heads {
		if r.stream == stream && b.found.epoch == m.epoch() && r.due > log.head && b.told[stream] != log.cuts {
			m.Errorf("%s ends at %d, was remembered to go to %d, and nobody is told", stream, log.head, r.due)
		}
	}
}

// owed checks that what a tab has to remember is remembered, unless that is of a
// database of which it knows nothing.
func (m *memoryModel) owed(b *memoryTab) {
	now := m.d.remembered()
	if b.Epoch() != m.epoch() {
		return
	}
	if now.epoch != m.epoch() {
		if len(b.owes) > 0 && (now.epoch == "" || now.epoch == b.found.epoch) {
			m.Errorf("%q is remembered in place of %q", now.epoch, b.Epoch())
		}
		return
	}
	heads := map[string]uint64{}
	for _, r := range now.heads {
		heads[r.stream] = r.head
	}
	for stream, head := range b.owes {
		if heads[stream] < head {
			m.Errorf("%s is remembered up to %d, not %d", stream, heads[stream], head)
		}
	}
	clear(b.owes)
	for stream, cuts := range b.told {
		log := m.logs[stream]
		log.told = max(log.told, cuts)
		m.logs[stream] = log
	}
}

func (m *memoryModel) end(b *memoryTab) {
	m.tabs = slices.DeleteFunc(m.tabs, func(other *memoryTab) bool { return other == b })
	if err := b.Close(); err != nil {
		m.Error(err)
	}
	b.die()
}

func (m *memoryModel) crash() {
	for _, b := range slices.Clone(m.tabs) {
		b.die()
		m.end(b)
	}
	m.heal()
}

func (m *memoryModel) heal() {
	m.d.heal()
	time.Sleep(time.Second)
	m.broken = ""
}

// act does one thing at random. The two that change what is remembered by hand
// report that.
func (m *memoryModel) act() (byHand bool) {
	stream := fmt.Sprint("s", m.r.IntN(4))
	action := m.r.IntN(24)
	if len(m.tabs) == 0 {
		action = 0
	}
	var b *memoryTab
	if action > 0 {
		b = m.tabs[m.r.IntN(len(m.tabs))]
	}
	switch action {
	case 0, 1, 2:
		m.open()
	case 3, 4, 5, 6:
		m.append(b, stream)
	case 7, 8, 9:
		m.recover(b, stream)
	case 10, 11, 12:
		time.Sleep(time.Duration(m.r.IntN(400)) * time.Millisecond)
	case 13, 14:
		m.end(b)
		if m.broken == "" {
			m.owed(b)
		}
	case 15:
		b.die()
		m.end(b)
	case 16:
		m.d.empty()
		clear(m.logs)
	case 17, 18:
		m.crash()
		if log := m.logs[stream]; log.head > 0 && m.d.stores != nil {
			lost := 1 + m.r.Uint64N(log.head)
			m.d.mu.Lock()
			m.d.stores[recordsStore] = m.d.stores[recordsStore].remove(keyRange{recordKey(stream, log.head-lost+1), recordKey(stream, log.head)})
			m.d.mu.Unlock()
			log.head -= lost
			log.cuts++
			m.logs[stream] = log
		}
	case 19, 20:
		step := []string{"recall", "remember", "lock"}[m.r.IntN(3)]
		f := fault{step: step, good: step, silent: true}
		if m.r.IntN(2) == 0 {
			f.silent, f.err = false, lostError
		}
		m.d.inject(f)
		m.broken = step
	case 21, 22:
		m.heal()
		m.append(b, stream)
		time.Sleep(3 * time.Second)
		m.owed(b)
	case 23:
		for _, b := range m.tabs {
			clear(b.owes) // they may be written already
		}
		m.d.mu.Lock()
		defer m.d.mu.Unlock()
		m.d.memory = []string{"", "rubbish"}[m.r.IntN(2)]
		return true
	}
	return false
}

// Whatever goes wrong, nobody is told of a loss that never was, or twice of the
// same; what is remembered of the database that is there is never forgotten; and
// when all is well again, all that is owed is remembered.
func TestRememberedAtRandom(t *testing.T) {
	done := map[string]int{}
	for seed := range uint64(*memorySeeds) {
		synctest.Test(t, func(t *testing.T) {
			m := &memoryModel{T: t, r: rand.New(rand.NewPCG(seed, 7)), d: newDisk(), logs: map[string]memoryLog{},
				resets: map[[2]string]bool{}, done: done}
			for range 80 {
				byHand := m.act()
				now := m.d.remembered()
				if m.before.epoch == m.epoch() && !byHand {
					heads := map[string]uint64{}
					for _, r := range now.heads {
						heads[r.stream] = r.head
						if m.d.stores != nil && r.head > m.logs[r.stream].furthest {
							m.Errorf("%s is remembered up to %d, and went to %d", r.stream, r.head, m.logs[r.stream].furthest)
						}
					}
					for _, r := range m.before.heads {
						if now.epoch != m.epoch() || heads[r.stream] < r.head {
							m.Errorf("%s was remembered up to %d, and then %+v", r.stream, r.head, now)
						}
					}
				}
				m.before = now
				if t.Failed() {
					break
				}
			}
			m.crash()
			if t.Failed() {
				t.Fatalf("it was history %d", seed) // here, for a bubble that fails ends the test
			}
		})
	}
	t.Logf("result: memory: %d histories, %v", *memorySeeds, done)
}
