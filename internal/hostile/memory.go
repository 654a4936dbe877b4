package hostile

import (
	"math"
	"runtime/metrics"
	"testing"
)

// BoundMemory checks that decode allocates no more than 64 KiB + 2 x input, as
// whatever reads stored bytes has to promise. The runtime counts what others
// allocate at the same time too, such as those of tests that have ended, so
// only what is allocated each time counts. Small objects it counts by the 8 KiB,
// which is precise enough, and takes a third of the time of runtime.ReadMemStats.
func BoundMemory(t testing.TB, input []byte, decode func()) {
	t.Helper()
	BoundMemoryBy(t, 2, input, decode)
}

// BoundMemoryBy does the same with factor in place of 2.
func BoundMemoryBy(t testing.TB, factor int, input []byte, decode func()) {
	t.Helper()
	least, bound := uint64(math.MaxUint64), uint64(64<<10+factor*len(input))
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	allocated := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	for range 5 {
		before := allocated()
		decode()
		if least = min(least, allocated()-before); least <= bound {
			return
		}
	}
	t.Errorf("%d bytes allocated for %d, the bound is %d", least, len(input), bound)
}
