package pskc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// errUnwrap: the wrapped key is not one under this key. No reason is given, so that there is no oracle.
var errUnwrap = errors.New("unwrapping failed")

// unwrapper turns around RFC 3394, Section 2.2.2, index based: a is the integrity check register and r the key data.
func unwrapper(block cipher.Block, wrapped []byte) (a [8]byte, r []byte) {
	var b [aes.BlockSize]byte
	copy(a[:], wrapped)
	r = append([]byte(nil), wrapped[8:]...)
	n := len(r) / 8
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(a[:])^uint64(n*j+i))
			copy(b[8:], r[(i-1)*8:i*8])
			block.Decrypt(b[:], b[:])
			copy(a[:], b[:8])
			copy(r[(i-1)*8:], b[8:])
		}
	}
	clear(b[:])
	return a, r
}

// unwrap is RFC 3394.
func unwrap(block cipher.Block, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, errUnwrap
	}
	a, r := unwrapper(block, wrapped)
	want := [8]byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6} // Section 2.2.3.1
	if subtle.ConstantTimeCompare(a[:], want[:]) != 1 {
		clear(r)
		return nil, errUnwrap
	}
	return r, nil
}

// unwrapPadded is RFC 5649, Section 4.2.
func unwrapPadded(block cipher.Block, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 16 || len(wrapped)%8 != 0 {
		return nil, errUnwrap
	}
	var a [8]byte
	var r []byte
	if len(wrapped) == aes.BlockSize {
		var b [aes.BlockSize]byte
		block.Decrypt(b[:], wrapped)
		copy(a[:], b[:8])
		r = append(r, b[8:]...)
		clear(b[:])
	} else {
		a, r = unwrapper(block, wrapped)
	}
	length := int(binary.BigEndian.Uint32(a[4:]))
	ok := subtle.ConstantTimeCompare(a[:4], []byte{0xa6, 0x59, 0x59, 0xa6})
	if ok != 1 || length > len(r) || length <= len(r)-8 {
		clear(r)
		return nil, errUnwrap
	}
	var padding byte
	for _, b := range r[length:] {
		padding |= b
	}
	if padding != 0 {
		clear(r)
		return nil, errUnwrap
	}
	return r[:length:length], nil
}
