//go:build !js

package idbstore

import "testing"

func freshStore(t testing.TB) *Store {
	t.Helper()
	return freshTabs(t)()
}

// freshTabs returns what opens an empty database, once more with each call.
func freshTabs(t testing.TB) func() *Store {
	d := newDisk()
	return func() *Store {
		t.Helper()
		s := startFake(t, d, 0)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
}

const defaultModelOps = 20_000

// modelDatabase returns what opens an empty database, once more with each call,
// and what removes it.
func modelDatabase(t testing.TB, atOnce bool) (tab func() *Store, remove func()) {
	d := newDisk()
	d.atOnce = atOnce
	return func() *Store { return startFake(t, d, 0) }, func() {}
}
