package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Raft entry holds a batch of commands, so that one fsync and one round of messages commit many. Its bytes are
//
//	1           the version of this format
//	uvarint     the number of commands, 1 to maxBatch
//	for each:   uvarint length, bytes
//
// and nothing after them. The same bytes carry commands from a follower to its leader. An entry that begins with 2 is
// padding, see eraser: nothing in it counts.
const (
	batchFormat   = 1
	paddingFormat = 2
	maxBatch      = 256
	maxBatchBytes = 256 << 10 // of commands; at least one command fits whatever its size
)

// padding is an entry without effects, as large as entries get.
var padding = append([]byte{paddingFormat}, make([]byte, maxBatchBytes-1)...)

func isPadding(entry []byte) bool { return len(entry) > 0 && entry[0] == paddingFormat }

var errBatch = errors.New("not a batch of commands")

// appendBatch appends the bytes of a batch to dst.
func appendBatch(dst []byte, commands [][]byte) []byte {
	dst = append(dst, batchFormat)
	dst = binary.AppendUvarint(dst, uint64(len(commands)))
	for _, c := range commands {
		dst = binary.AppendUvarint(dst, uint64(len(c)))
		dst = append(dst, c...)
	}
	return dst
}

// parseBatch returns the commands of a batch, as parts of b. An entry of a version that isn't known is an error that
// stops the node: skipping it would let two versions drift apart.
func parseBatch(b []byte) ([][]byte, error) {
	if len(b) == 0 || b[0] != batchFormat {
		return nil, fmt.Errorf("%w: its version is not known", errBatch)
	}
	n, b, err := uvarint(b[1:])
	if err != nil || n == 0 || n > maxBatch {
		return nil, fmt.Errorf("%w: %d commands", errBatch, n)
	}
	commands := make([][]byte, n)
	for i := range commands {
		size, rest, err := uvarint(b)
		if err != nil || size > MaxCommand || size > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: command %d is cut short or too large", errBatch, i)
		}
		commands[i], b = rest[:size:size], rest[size:]
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes follow it", errBatch, len(b))
	}
	return commands, nil
}

// uvarint reads a number in its shortest form, and returns what follows it.
func uvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, errBatch
	}
	return v, b[n:], nil
}
