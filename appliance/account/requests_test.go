package account

import (
	"bytes"
	"testing"
)

func (w *world) with(id RequestID, c *Command) *Command {
	c.Request = id
	return c
}

func TestRepeatedRequest(t *testing.T) {
	w := ann(t, "phone")
	id := requestID(1)
	first := w.want(Accepted, w.with(id, w.verify(w.current("phone"))))
	// What the second time brings along doesn't matter: another node evaluated it, later, and the code is spent.
	w.now += minute
	for _, again := range []*Command{w.verify(), w.verify(w.current("phone")), w.verify(Match{"phone", w.step() - 2})} {
		again.Verify.Keys = 0
		r := w.want(Accepted, w.with(id, again))
		if !r.Replayed || r.Entry != first.Entry || r.Credential != "phone" {
			t.Errorf("replayed as %+v, first %+v", r, first)
		}
	}
	w.want(Accepted, w.verify(w.current("phone"))) // the replays spent nothing
}

func TestRepeatedFailureIsChargedOnce(t *testing.T) {
	w := ann(t, "phone")
	for range 100 {
		w.want(Wrong, w.with(requestID(1), w.verify()))
	}
	if w.state.Failures != 1 || w.state.Charge != 300 {
		t.Errorf("charged %+v", w.state.Attempts)
	}
}

func TestRepeatedRequestWhileLocked(t *testing.T) {
	w := ann(t, "phone")
	accepted := w.with(requestID(1), w.verify(w.current("phone")))
	w.want(Accepted, accepted)
	for range 33 {
		w.guess()
	}
	w.want(Locked, w.verify())
	w.want(Accepted, accepted)
	// A refusal isn't remembered: nothing was done, and when the time has come the request is heard.
	refused := w.with(requestID(2), w.verify())
	w.want(Locked, refused)
	w.now += minute
	w.want(Accepted, w.with(requestID(2), w.verify(w.current("phone"))))
}

func TestRequestConflict(t *testing.T) {
	w := ann(t, "phone", "pad")
	w.want(Wrong, w.with(requestID(1), w.verify()))
	other := w.with(requestID(1), w.verify())
	other.Verify.Device = "pad"
	resync := w.with(requestID(1), w.resync("phone"))
	for _, c := range []*Command{w.with(requestID(1), w.enrol("desk", totp6)), other, resync} {
		if r := w.want(Conflict, c); r.Replayed {
			t.Errorf("%+v", r)
		}
	}
	w.want(Done, w.with(requestID(2), w.remove("pad")))
	w.want(Conflict, w.with(requestID(2), w.remove("phone")))
	w.want(Done, w.with(requestID(2), w.remove("pad")))

	// A retry of an enrolment brings a new id and a new seed; another device brings another key.
	w.want(Done, w.with(requestID(3), w.enrol("desk", totp6)))
	again := w.with(requestID(3), w.enrol("desk", totp6))
	again.Enrol.Credential.ID, again.Enrol.Credential.Seed = "desk2", []byte("another")
	if r := w.want(Done, again); r.Credential != "desk" || !r.Replayed {
		t.Errorf("the retry is answered %+v", r)
	}
	again.Enrol.Credential.PublicKey = []byte("another")
	w.want(Conflict, again)
	if len(w.state.Credentials) != 2 {
		t.Errorf("%d credentials", len(w.state.Credentials))
	}
}

func TestRequestsAreForgotten(t *testing.T) {
	w := ann(t, "phone")
	first := w.with(requestID(1), w.verify(w.current("phone")))
	w.want(Accepted, first)
	at := w.now
	w.now = at + RequestLife - 1
	if !w.state.Answered(requestID(1), w.now) {
		t.Error("forgotten too soon")
	}
	w.now++
	if w.state.Answered(requestID(1), w.now) {
		t.Error("remembered too long")
	}
	w.want(Wrong, w.with(requestID(1), w.verify(Match{"phone", w.step() - 20})))

	w = ann(t, "phone")
	for i := range byte(MaxRequests + 3) {
		w.want(Wrong, w.with(requestID(i+1), w.verify()))
		if len(w.state.Requests) > MaxRequests {
			t.Fatalf("%d requests are remembered", len(w.state.Requests))
		}
	}
	if w.state.Answered(requestID(3), w.now) || !w.state.Answered(requestID(4), w.now) {
		t.Error("it isn't the oldest that were dropped")
	}
	if w.state.Answered(RequestID{}, w.now) {
		t.Error("no id was answered")
	}
	// Time doesn't run backwards to bring them back.
	w.now += RequestLife
	w.want(Wrong, w.verify())
	w.now -= RequestLife
	if w.state.Answered(requestID(4), w.now) {
		t.Error("an answer came back")
	}
}

// TestNextSharesNothing: two futures of one state don't write into each other, however much room its slices have.
func TestNextSharesNothing(t *testing.T) {
	w := ann(t, "phone")
	w.want(Wrong, w.with(requestID(1), w.verify()))
	w.state.Credentials = append(make([]Credential, 0, 8), w.state.Credentials...)
	w.state.Requests = append(make(Requests, 0, 8), w.state.Requests...)
	var futures []*State
	var encoded [][]byte
	for i, c := range []*Command{
		w.enrol("pad", totp6), w.enrol("desk", totp8), w.verify(), w.verify(w.current("phone")), w.remove("phone"),
	} {
		d := Apply(w.policy, w.state, w.with(requestID(byte(i+2)), c))
		d.SetEntry(int64(i))
		futures, encoded = append(futures, d.Next), append(encoded, EncodeState(d.Next))
	}
	for i, s := range futures {
		if !bytes.Equal(EncodeState(s), encoded[i]) {
			t.Errorf("future %d was written to by a later one", i)
		}
	}
}

// TestForgottenAcceptIsSpent: when the memory of a request is gone, its code still opens nothing.
func TestForgottenAcceptIsSpent(t *testing.T) {
	w := ann(t, "phone")
	c := w.with(requestID(1), w.verify(w.current("phone")))
	w.want(Accepted, c)
	for i := range byte(MaxRequests) {
		w.want(Wrong, w.with(requestID(i+2), w.verify()))
	}
	w.want(Spent, w.with(requestID(1), w.verify(w.current("phone"))))
}
