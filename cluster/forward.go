package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The forward protocol carries requests of one node to another over a connection that stays open. Either side sends
// frames:
//
//	uint32 length of what follows, uint64 id, 1 byte kind, payload
//
// Numbers are big-endian. The side that connected asks, and picks the ids; the other answers each with a frame of the
// same id and kind, in any order. The first byte of an answer is its status, and what follows a status other than
// statusOK is a message. Nothing is forwarded twice: who isn't the leader says so.
const (
	kindPropose   = 1 // a batch of commands; answered by appendResults
	kindReadIndex = 2 // nothing; answered by a uint64 index that must be applied before a read
	kindPing      = 3 // nothing; answered by a pong
	kindAdmin     = 4 // an adminRequest; answered by nothing
	kindLog       = 5 // a logRequest; answered by the bytes of a file of the key-usage log

	statusOK       = 0
	statusNoEffect = 1
	statusUnknown  = 2
	statusNoLeader = 3 // had no effect, and another node is the one to ask

	frameHead   = 4 + 8 + 1
	maxFrame    = 64 << 20
	maxAtOnce   = 256 // requests of one connection that are served at once
	forwardRead = 64 << 10
)

// status is the byte for an error.
func status(err error) byte {
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, errNoLeader):
		return statusNoLeader
	case errors.Is(err, ErrNoEffect):
		return statusNoEffect
	}
	return statusUnknown
}

// statusError is the error for a byte and a message.
func statusError(s byte, message string) error {
	switch s {
	case statusOK:
		return nil
	case statusNoLeader:
		return errNoLeader
	case statusNoEffect:
		return fmt.Errorf("%w: the leader says: %s", ErrNoEffect, message)
	}
	return fmt.Errorf("%w: the leader says: %s", ErrUnknown, message)
}

func appendFrame(dst []byte, id uint64, kind byte, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(8+1+len(payload)))
	dst = binary.BigEndian.AppendUint64(dst, id)
	dst = append(dst, kind)
	return append(dst, payload...)
}

func readFrame(r io.Reader) (id uint64, kind byte, payload []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 9 || n > maxFrame {
		return 0, 0, nil, fmt.Errorf("reading a frame: its length is %d", n)
	}
	payload = make([]byte, n-9)
	_, err = io.ReadFull(r, payload)
	return binary.BigEndian.Uint64(head[4:]), head[12], payload, err
}

// peer is this node's open connection to another, on which it asks.
type peer struct {
	conn    net.Conn
	timeout time.Duration

	wmu sync.Mutex // held while a frame is written
	buf []byte

	mu      sync.Mutex // guards what follows
	next    uint64
	waiting map[uint64]chan []byte // closed without a value when the connection ends
	ended   bool
}

func newPeer(c net.Conn, timeout time.Duration) *peer {
	p := &peer{conn: c, timeout: timeout, waiting: map[uint64]chan []byte{}}
	go p.read()
	return p
}

// read hands out answers until the connection ends.
func (p *peer) read() {
	r := bufio.NewReaderSize(p.conn, forwardRead)
	for {
		id, _, payload, err := readFrame(r)
		if err != nil {
			break
		}
		p.mu.Lock()
		ch := p.waiting[id]
		delete(p.waiting, id)
		p.mu.Unlock()
		if ch != nil {
			ch <- payload
		}
	}
	p.end()
}

// end closes the connection; everyone who waits learns that no answer will come.
func (p *peer) end() {
	p.conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for id, ch := range p.waiting {
		close(ch)
		delete(p.waiting, id)
	}
}

func (p *peer) isEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// call asks and waits for the answer, of which it returns what follows the status. Until the first byte is written, an
// error is errNoLeader: the other node can't have seen the request. From then on it is ErrUnknown, unless the other node
// said otherwise.
func (p *peer) call(ctx context.Context, kind byte, payload []byte) ([]byte, error) {
	ch := make(chan []byte, 1)
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return nil, errNoLeader
	}
	p.next++
	id := p.next
	p.waiting[id] = ch
	p.mu.Unlock()

	p.wmu.Lock()
	p.buf = appendFrame(p.buf[:0], id, kind, payload)
	p.conn.SetWriteDeadline(time.Now().Add(p.timeout))
	_, err := p.conn.Write(p.buf)
	if cap(p.buf) > 1<<20 {
		p.buf = nil
	}
	p.wmu.Unlock()
	if err != nil {
		p.end() // part of a frame may have gone: the stream is of no more use
	}
	select {
	case answer, ok := <-ch:
		if !ok {
			return nil, fmt.Errorf("%w: the connection to the leader was lost", ErrUnknown)
		}
		if len(answer) == 0 {
			return nil, fmt.Errorf("%w: the leader's answer is empty", ErrUnknown)
		}
		return answer[1:], statusError(answer[0], string(answer[1:]))
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.waiting, id)
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// peers keeps one connection to each node that is talked with.
type peers struct {
	link    *link
	timeout time.Duration

	mu   sync.Mutex // guards what follows
	open map[raft.ServerAddress]*peerSlot
}

type peerSlot struct {
	mu sync.Mutex // held while connecting
	p  *peer
}

// call asks the node at an address, over the connection that is open or a new one.
func (ps *peers) call(ctx context.Context, a raft.ServerAddress, kind byte, payload []byte) ([]byte, error) {
	ps.mu.Lock()
	slot := ps.open[a]
	if slot == nil {
		slot = &peerSlot{}
		ps.open[a] = slot
	}
	ps.mu.Unlock()
	p, err := ps.connect(ctx, a, slot)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errNoLeader, err)
	}
	return p.call(ctx, kind, payload)
}

func (ps *peers) connect(ctx context.Context, a raft.ServerAddress, slot *peerSlot) (*peer, error) {
	slot.mu.Lock()
	defer slot.mu.Unlock()
	if slot.p != nil && !slot.p.isEnded() {
		return slot.p, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ps.timeout)
	defer cancel()
	c, err := ps.link.dial(ctx, a, alpnForward)
	if err != nil {
		return nil, err
	}
	slot.p = newPeer(c, ps.timeout)
	return slot.p, nil
}

// serveForward answers another node's requests until the connection ends. handle answers one: with what follows the
// status, or an error.
func serveForward(c net.Conn, timeout time.Duration, handle func(ctx context.Context, kind byte, payload []byte) ([]byte, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	slots := make(chan struct{}, maxAtOnce)
	var wmu sync.Mutex // held while an answer is written
	r := bufio.NewReaderSize(c, forwardRead)
	for {
		id, kind, payload, err := readFrame(r)
		if err != nil {
			return
		}
		slots <- struct{}{}
		running.Add(1)
		go func() {
			defer running.Done()
			defer func() { <-slots }()
			body, err := handle(ctx, kind, payload)
			if err != nil {
				body = []byte(err.Error())
			}
			answer := append(append(make([]byte, 0, 1+len(body)), status(err)), body...)
			wmu.Lock()
			defer wmu.Unlock()
			c.SetWriteDeadline(time.Now().Add(timeout))
			if _, err := c.Write(appendFrame(nil, id, kind, answer)); err != nil {
				c.Close()
			}
		}()
	}
}
