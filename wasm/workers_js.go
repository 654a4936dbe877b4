package main

// workers are goroutines that wait for more work when they have done theirs.
// The stack of a new goroutine grows step by step on the way down to the
// storage, and is copied each time; that of a worker has grown.
type workers struct {
	idle []chan func()
}

// maxIdle is more than a page calls at once, unless it does not wait at all.
const maxIdle = 4

// run does work in the background.
func (w *workers) run(work func()) {
	if n := len(w.idle); n > 0 {
		next := w.idle[n-1]
		w.idle = w.idle[:n-1]
		next <- work
		return
	}
	go func() {
		next := make(chan func(), 1)
		for {
			work()
			work = nil // let go of what it holds
			if len(w.idle) == maxIdle {
				return
			}
			w.idle = append(w.idle, next)
			work = <-next
		}
	}()
}
