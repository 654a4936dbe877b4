package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// SealBytes is what Seal adds to bytes.
const SealBytes = crc32.Size

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum returns the CRC-32C (RFC 3720, appendix B.4) of name, a zero byte and b.
// Because it covers the name, bytes that a storage returns under a wrong name
// are refused as damaged.
func Sum(name string, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(append([]byte(name), 0), castagnoli), castagnoli, b)
}

// Seal appends to b its sum, with little-endian bytes.
func Seal(name string, b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, Sum(name, b))
}

// Unseal returns what was sealed, and whether the seal is right.
func Unseal(name string, sealed []byte) (b []byte, ok bool) {
	end := len(sealed) - SealBytes
	if end < 0 {
		return nil, false
	}
	b = sealed[:end:end]
	return b, binary.LittleEndian.Uint32(sealed[end:]) == Sum(name, b)
}
