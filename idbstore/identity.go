package idbstore

import (
	"strconv"

	"github.com/holdfast-dev/holdfast/core"
)

// formatVersion is what this release reads and writes.
const formatVersion = 2

// identity distinguishes a database from its successor of the same name.
type identity struct {
	format int
	epoch  string // in hex
}

// Keys of the object store meta. Their values are decimal or hex digits; times
// are in milliseconds since the Unix epoch.
const (
	metaFormat  = "format"
	metaEpoch   = "epoch"
	metaCreated = "created"
	metaFlushed = "flushed"
	// metaReplaces is followed by the epoch of a database that this one was
	// reported to have replaced.
	metaReplaces = "replaces "
)

// maxEpoch is more digits than an epoch has.
const maxEpoch = 64

// decodeIdentity reads the identity of a database. In one of another format it
// looks at nothing but the format.
func decodeIdentity(format, epoch []byte) (identity, error) {
	n, err := strconv.Atoi(string(format))
	if err == nil && n > 0 && n != formatVersion {
		return identity{format: n}, nil
	}
	hex := len(epoch) > 0 && len(epoch) <= maxEpoch
	for _, digit := range epoch {
		hex = hex && (digit >= '0' && digit <= '9' || digit >= 'a' && digit <= 'f')
	}
	if err != nil || n < 1 || !hex {
		return identity{}, &core.Error{Code: core.ErrCorrupt,
			Detail: "the database does not say what format it has, or which database it is"}
	}
	return identity{n, string(epoch)}, nil
}
