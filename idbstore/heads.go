package idbstore

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// A browser takes a damaged end of its own log for commits that never came
// about. A stream that has lost its end so is a shorter one, and whole. So the
// heads of the streams that were written to last are remembered outside the
// database, which Inspect compares them with. They are behind by rememberDelay,
// and by what the browser takes to write them (in Chromium 5 s, or until it ends).
const (
	rememberDelay = time.Second
	mostHeads     = 64  // are remembered,
	longestName   = 256 // bytes: of streams with names up to that
)

// What is remembered, by its keys.
const (
	rememberedEpoch = "epoch"
	// rememberedHeads are the epoch that they belong to, then a head and a name
	// for each stream, all with a NUL between them, which no name contains.
	rememberedHeads = "heads"
)

// moved notes the head of a stream, to be remembered soon.
func (s *Store) moved(info core.StreamInfo) {
	if len(info.Name) > longestName {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heads) == 0 && !s.closed {
		time.AfterFunc(rememberDelay, s.remember)
	}
	s.heads[info.Name] = max(s.heads[info.Name], info.Head)
}

// remember writes down what has moved, before what was remembered earlier. Of
// two tabs that do so at once one may forget what the other has written.
func (s *Store) remember() {
	s.mu.Lock()
	moved := s.heads
	s.heads = map[string]uint64{}
	s.mu.Unlock()
	if len(moved) == 0 {
		return
	}
	earlier := s.remembered()
	for _, info := range earlier {
		if head, again := moved[info.Name]; again {
			moved[info.Name] = max(head, info.Head)
		}
	}
	parts := []string{s.Epoch()}
	add := func(name string, head uint64) {
		if len(parts) < 2*mostHeads {
			parts = append(parts, strconv.FormatUint(head, 10), name)
		}
	}
	for name, head := range moved {
		add(name, head)
	}
	for _, info := range earlier {
		if _, again := moved[info.Name]; !again {
			add(info.Name, info.Head)
		}
	}
	s.engine.remember(rememberedHeads, strings.Join(parts, "\x00"))
}

// remembered returns the heads that are remembered of this database.
func (s *Store) remembered() []core.StreamInfo {
	parts := strings.Split(s.engine.recall(rememberedHeads), "\x00")
	if parts[0] != s.Epoch() {
		return nil
	}
	var heads []core.StreamInfo
	for pair := range slices.Chunk(parts[1:], 2) {
		head, err := strconv.ParseUint(pair[0], 10, 64)
		if err == nil && head <= core.MaxSequence && len(pair) == 2 {
			heads = append(heads, core.StreamInfo{Name: pair[1], Head: head})
		}
	}
	return heads
}

// rememberedHead returns the head that is remembered of stream, 0 if none is.
func (s *Store) rememberedHead(stream string) uint64 {
	for _, info := range s.remembered() {
		if info.Name == stream {
			return info.Head
		}
	}
	return 0
}
