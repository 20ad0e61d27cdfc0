package clustertest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
)

// Machine is a small deterministic machine: registers that hold numbers, and commands that carry an id and are decided
// once, however often they come. State: r/<register> and c/<id>, each eight bytes, big-endian; c/ has value and entry.
type Machine struct{}

const idSize = 16

// ID names a command.
type ID [idSize]byte

// The operations of a command.
const (
	opAdd  = 'a' // register += operand; the answer is the new value
	opSet  = 's' // register = operand; the answer is the operand
	opTree = 't' // the register's name is that of the next tree of the log
	opMark = 'm' // register = first bytes of the hash of all effects before this command
	opHalt = 'h' // can't be decided: stops the node
)

// Answer is what a command gives.
type Answer struct {
	Value int64
	Entry int64 // of the command's one entry in the log
}

func command(op byte, id ID, register string, operand int64) []byte {
	b := append([]byte{op}, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(operand))
	return append(b, register...)
}

// Add is the command that adds to a register.
func Add(id ID, register string, n int64) []byte { return command(opAdd, id, register, n) }

// Set is the command that sets a register.
func Set(id ID, register string, n int64) []byte { return command(opSet, id, register, n) }

// Begin is the command that begins a new tree of the log.
func Begin(id ID, tree string) []byte { return command(opTree, id, tree, 0) }

// Mark is the command that puts what the hash of all effects is into a register: different where states are.
func Mark(id ID, register string) []byte { return command(opMark, id, register, 0) }

// Halt is a command of a kind that the machine does not know.
func Halt() []byte { return command(opHalt, ID{}, "", 0) }

// ParseAnswer reads the data of a result.
func ParseAnswer(b []byte) (Answer, error) {
	if len(b) != 16 {
		return Answer{}, fmt.Errorf("an answer of %d bytes", len(b))
	}
	return Answer{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}, nil
}

func (a Answer) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(a.Value)), uint64(a.Entry))
}

// ReadRegister reads a register; one that was never written is 0.
func ReadRegister(r cluster.Reader, register string) (int64, error) {
	b, err := r.Get([]byte("r/" + register))
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("register %q has %d bytes", register, len(b))
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// begin ends a tree with an entry, and begins the next with one that has the old one's root.
func begin(tx cluster.Tx, key []byte, name string) cluster.Applied {
	last, first := &audit.Entry{Operation: "end-tree", Request: hex.EncodeToString(key)}, &audit.Entry{Operation: "begin-tree"}
	return cluster.Applied{
		Entries: []*audit.Entry{last, first},
		NewTree: &cluster.NewTree{Name: name, At: 1, Closed: func(h audit.Head) {
			first.Detail = hex.EncodeToString(h.Root[:])
			first.Request = first.Detail
		}},
		Finish: func(entry int64) []byte {
			answer := Answer{0, entry}.bytes()
			tx.Set(key, answer)
			return answer
		},
	}
}

// Apply is of cluster.Machine.
func (Machine) Apply(tx cluster.Tx, c []byte) (cluster.Applied, error) {
	if len(c) < 1+idSize+8 || !bytes.ContainsRune([]byte{opAdd, opSet, opTree, opMark}, rune(c[0])) {
		return cluster.Applied{}, errors.New("a command that isn't known")
	}
	id, operand, register := c[1:1+idSize], int64(binary.BigEndian.Uint64(c[1+idSize:])), string(c[1+idSize+8:])
	key := append([]byte("c/"), id...)
	before, err := tx.Get(key)
	if err != nil {
		return cluster.Applied{}, err
	}
	if before != nil {
		return cluster.Applied{Finish: func(int64) []byte { return before }}, nil
	}
	if c[0] == opTree {
		return begin(tx, key, register), nil
	}
	value := operand
	if c[0] == opMark {
		effects := tx.LogHead().Effects
		value = int64(binary.BigEndian.Uint64(effects[:]))
	}
	if c[0] == opAdd {
		old, err := ReadRegister(tx, register)
		if err != nil {
			return cluster.Applied{}, err
		}
		value += old
	}
	tx.Set([]byte("r/"+register), binary.BigEndian.AppendUint64(nil, uint64(value)))
	return cluster.Applied{
		Entries: []*audit.Entry{{
			Operation: string(c[0]), Request: hex.EncodeToString(id), Key: register,
			Outcome: strconv.FormatInt(value, 10),
		}},
		Finish: func(entry int64) []byte {
			answer := Answer{value, entry}.bytes()
			tx.Set(key, answer)
			return answer
		},
	}, nil
}
