// Package storetest checks that a store keeps the contract of
// [core.DurableStore] and, where it implements them, of [core.Watcher] and
// [core.Snapshotter].
//
// Every store runs the whole suite, natively or in a browser. The suite
// therefore opens no files, never sleeps, and needs one thread only:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(testing.TB) storetest.Storage {
//			memory := memstore.New()
//			return func(testing.TB) core.DurableStore { return memory.Share() }
//		})
//	}
package storetest

import (
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

// Storage opens a handle on one storage, such as a database. All handles that
// one Storage opens see the same data: those open at the same time, as in two
// tabs, and those opened after all others were closed. It ends the test with
// t.Fatal if it cannot open one. The suite closes every handle; it calls
// Storage from the goroutine of the test only.
type Storage func(t testing.TB) core.DurableStore

// Run checks the contract, one subtest for each of its promises. It calls
// newStorage once for every subtest; the storage must then be empty, and may be
// removed in t.Cleanup, which runs after all its handles were closed.
//
// Every subtest ends with a check of all streams through a new handle: each is
// contiguous from 0 or from a tombstone, and all methods agree on its head.
func Run(t *testing.T, newStorage func(t testing.TB) Storage) {
	for _, chapter := range chapters {
		for _, story := range chapter {
			t.Run(story.name, func(t *testing.T) {
				s := &stage{T: t, storage: newStorage(t)}
				story.tell(s)
				s.check()
			})
		}
	}
}

var chapters = [][]story{
	appendStories, conflictStories, readStories, payloadStories, nameStories,
	valueStories, deleteStories, raceStories, lifeStories, watchStories, randomStories,
	snapshotStories, historyStories, severalStories, directoryStories,
}

// story is one promise of the contract and the test of it.
type story struct {
	name string
	tell func(*stage)
}

// stage is where a story happens: a test and an empty storage.
type stage struct {
	*testing.T
	storage Storage
}

// open returns a new handle, which is closed at the end of the story.
func (s *stage) open() *handle {
	s.Helper()
	h := &handle{DurableStore: s.storage(s.T), t: s.T}
	s.Cleanup(func() {
		if err := h.Close(); err != nil {
			s.Errorf("close: %v", err)
		}
	})
	return h
}
