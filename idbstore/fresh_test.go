//go:build !js

package idbstore

import "testing"

func freshStore(t testing.TB) *Store {
	t.Helper()
	s := startFake(t, newDisk(), 0)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
