package account

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	// A repeated key is not looked for here: decode refuses it with everything else that isn't the one encoding.
	decoder = must(cbor.DecOptions{
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  MaxMatches,
		MaxMapPairs:       32,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Errors of the decoders. Each means that this node must not go on: it has read what another release wrote, or what is
// damaged.
var (
	ErrState   = errors.New("not an account's state")
	ErrCommand = errors.New("not an account's command")
)

// EncodeState makes the one encoding of a state. It is for states that Apply or DecodeState made.
func EncodeState(s *State) []byte { return must(encoder.Marshal(s)) }

// DecodeState reads a state. It accepts exactly what EncodeState makes, of this version, and answers ErrState otherwise.
func DecodeState(b []byte) (*State, error) {
	s := &State{}
	if err := decode(b, s, MaxState); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if s.Version != version {
		return nil, fmt.Errorf("%w: version %d is not known", ErrState, s.Version)
	}
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return s, nil
}

// EncodeCommand makes the one encoding of a command. It panics at a command that is not valid: it would stop every node
// of the cluster, so it must not come so far as to be proposed. Ask Validate where input could be at fault.
func EncodeCommand(c *Command) []byte {
	if err := c.Validate(); err != nil {
		panic(fmt.Sprintf("encoding a command: %v", err))
	}
	return must(encoder.Marshal(c))
}

// DecodeCommand reads a command. It accepts exactly what EncodeCommand makes and answers ErrCommand otherwise: a kind or
// a field that isn't known comes from a later release, and skipping it would let replicas drift apart.
func DecodeCommand(b []byte) (*Command, error) {
	c := &Command{}
	if err := decode(b, c, MaxCommand); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCommand, err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCommand, err)
	}
	return c, nil
}

// decode refuses all but the one encoding. The library is lenient about the order of keys, long forms of numbers, fields
// that are empty and arrays of another length; one comparison refuses all of that.
func decode(b []byte, v any, most int) error {
	if len(b) > most {
		return fmt.Errorf("%d bytes are too many", len(b))
	}
	if err := decoder.Unmarshal(b, v); err != nil {
		return err
	}
	again, err := encoder.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(b, again) {
		return errors.New("it isn't written the one way")
	}
	return nil
}
