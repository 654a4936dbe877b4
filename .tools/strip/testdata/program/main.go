// Command program does what depends on the tables that stripping changes.
package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
)

func main() {
	fmt.Println(panics(func() { var m map[string]int; m["a"] = 1 }))
	fmt.Println(panics(func() { _ = make([]int, 3)[len(strings.Repeat("x", 5))] }))
	fmt.Println(panics(func() { var p *struct{ a [9]int }; p.a[3]++ }))
	fmt.Println(panics(func() { panic(errors.New("boom")) }))
	fmt.Println(deep(20_000))
	fmt.Println(together())
	fmt.Println(len(callers()) > 2)
}

func panics(fn func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	defer func() { runtime.GC() }()
	fn()
	return "nothing"
}

// deep grows the stack, with garbage on it and a collection at its end.
func deep(n int) int {
	if n == 0 {
		runtime.GC()
		return 0
	}
	data := []byte{byte(n)}
	defer func() { data = nil }()
	return deep(n-1) + int(data[0])
}

func together() int {
	var group sync.WaitGroup
	results := make(chan int, 100)
	for i := range 100 {
		group.Go(func() {
			select {
			case <-time.After(time.Duration(i%7) * time.Millisecond):
				results <- deep(i)
			case <-time.After(time.Hour):
			}
		})
	}
	group.Wait()
	close(results)
	sum := 0
	for n := range results {
		sum += n
	}
	return sum
}

func callers() []uintptr {
	all := make([]uintptr, 10)
	n := runtime.Callers(0, all)
	frames := runtime.CallersFrames(all[:n])
	for {
		if _, more := frames.Next(); !more {
			return all[:n]
		}
	}
}
