package later_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/internal/later"
)

// Inside of synctest, time passes at once, and in steps that are exact.

// calls notes when a timer has called, in milliseconds since the story began.
type calls struct {
	mu    sync.Mutex
	begun time.Time
	at    []int64
}

func (c *calls) note() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Since(c.begun).Milliseconds())
}

func (c *calls) want(t *testing.T, at ...int64) {
	t.Helper()
	<-time.After(time.Hour)
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.at) != len(at) {
		t.Fatalf("called at %v ms, want %v", c.at, at)
	}
	for i := range at {
		if c.at[i] != at[i] {
			t.Fatalf("called at %v ms, want %v", c.at, at)
		}
	}
}

func story(t *testing.T, tell func(timer *later.Timer, after func(ms int64), c *calls)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &calls{begun: time.Now()}
		tell(later.New(c.note), func(ms int64) { <-time.After(time.Duration(ms) * time.Millisecond) }, c)
	})
}

const delay = 100 * time.Millisecond

func TestCallsOnceForAllThatAsked(t *testing.T) {
	story(t, func(timer *later.Timer, after func(int64), c *calls) {
		timer.In(delay)
		after(60)
		timer.In(delay)
		timer.In(0)
		c.want(t, 100)
	})
}

func TestCallsAgainWhenAskedAgain(t *testing.T) {
	story(t, func(timer *later.Timer, after func(int64), c *calls) {
		timer.In(delay)
		after(150)
		timer.In(delay)
		c.want(t, 100, 250)
	})
}

func TestBusyPutsOff(t *testing.T) {
	story(t, func(timer *later.Timer, after func(int64), c *calls) {
		timer.Busy() // before it is asked for, that says nothing
		timer.In(delay)
		for range 3 {
			after(90)
			timer.Busy()
		}
		c.want(t, 400)
	})
}

func TestBusyPutsOffNoMoreThanMost(t *testing.T) {
	story(t, func(timer *later.Timer, after func(int64), c *calls) {
		timer.In(delay)
		for range 4 * later.MostPutOff {
			after(50)
			timer.Busy()
		}
		c.want(t, 100*(later.MostPutOff+1))
	})
}

func TestStopCancels(t *testing.T) {
	story(t, func(timer *later.Timer, _ func(int64), c *calls) {
		timer.In(delay)
		timer.Stop()
		timer.In(delay)
		c.want(t)
	})
}

// A call that takes long is followed by another one, if that was asked for in
// the meantime, and is never joined by one.
func TestOneCallAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &calls{begun: time.Now()}
		running := 0
		timer := later.New(func() {
			if running++; running > 1 {
				t.Error("two calls at a time")
			}
			c.note()
			<-time.After(500 * time.Millisecond)
			running--
		})
		timer.In(delay)
		<-time.After(200 * time.Millisecond)
		timer.In(delay)
		timer.In(delay)
		c.want(t, 100, 700)
	})
}

func TestStopDuringACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &calls{begun: time.Now()}
		var timer *later.Timer
		timer = later.New(func() {
			c.note()
			timer.In(delay)
			timer.Stop()
		})
		timer.In(delay)
		c.want(t, 100)
	})
}
