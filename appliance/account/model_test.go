package account

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"strongroom.internal/appliance/otp"
)

// model is the account as one would write it down who had never seen the package: sets and sums, no encoding, no ring
// that is shared, nothing clever.
type model struct {
	exists, phantom bool
	credentials     []*modelCredential
	time            Time
	generation      int // of what evaluations look at; 0 where there is no account
	generations     int // that there were

	failures, charge, delays int
	delayed                  bool
	last, retryAt            Time

	answers []modelAnswer
}

type modelCredential struct {
	id       string
	params   otp.Params
	accepted map[otp.Step]bool
	floor    otp.Step // everything up to it is spent
	drift    otp.Step
	counter  otp.Step
}

type modelAnswer struct {
	id         RequestID
	what       string
	outcome    Outcome
	credential string
	at         Time
}

func (m *model) price() (sum int) {
	for _, k := range m.credentials {
		codes := 3
		if k.params.Mode == otp.HOTP {
			codes = 6
		}
		for d := k.params.Digits; d < 8; d++ {
			codes *= 10
		}
		sum += codes
	}
	if len(m.credentials) == 0 {
		return 300
	}
	return sum
}

func (m *model) priceOf(device string) int {
	if k := m.find(device); k != nil {
		return (&model{credentials: []*modelCredential{k}}).price()
	}
	return m.price()
}

func (m *model) find(id string) *modelCredential {
	for _, k := range m.credentials {
		if k.id == id {
			return k
		}
	}
	return nil
}

func (m *model) changed() {
	m.generations++
	m.generation = m.generations
}

func (m *model) forget() {
	m.failures, m.charge, m.delays, m.delayed, m.retryAt, m.last = 0, 0, 0, false, 0, 0
}

func (m *model) startDelay(from Time) {
	m.delayed = true
	d := minute
	for range m.delays {
		d = min(2*d, 24*hour)
	}
	m.delays++
	m.retryAt = from + d
}

func (m *model) fail(price int) {
	m.failures++
	m.charge += price
	m.last = m.time
	if m.delayed || m.charge+m.price() > 10_000 {
		m.startDelay(m.time)
	}
}

// step decides a command. generation is the one that the command was evaluated in.
func (m *model) step(c *Command, generation int) (outcome Outcome, retryAt Time, credential string, replayed bool) {
	at := max(m.time, c.Time)
	what := fmt.Sprint(c.operation())
	switch {
	case c.Verify != nil:
		what += c.Verify.Device
	case c.Resync != nil:
		what += c.Resync.Credential
	case c.Remove != nil:
		what += c.Remove.Credential
	case c.Enrol != nil:
		what += fmt.Sprint(c.Enrol.Credential.Params, c.Enrol.Credential.Counter, string(c.Enrol.Credential.PublicKey))
	}
	for _, a := range m.answers {
		if c.Request != (RequestID{}) && a.id == c.Request && at-a.at < 10*minute {
			if a.what != what {
				return Conflict, 0, "", false
			}
			return a.outcome, 0, a.credential, true
		}
	}
	outcome, retryAt, credential = m.decide(c, generation, at)
	if c.Request != (RequestID{}) && m.exists && outcome != Stale && outcome != Locked &&
		!(m.phantom && outcome == NotFound) {
		for len(m.answers) > 0 && (m.time-m.answers[0].at >= 10*minute || len(m.answers) == 16) {
			m.answers = m.answers[1:]
		}
		m.answers = append(m.answers, modelAnswer{c.Request, what, outcome, credential, m.time})
	}
	return outcome, retryAt, credential, false
}

func (m *model) decide(c *Command, generation int, at Time) (outcome Outcome, retryAt Time, credential string) {
	if c.Create != nil {
		m.time = at
		if m.exists && !m.phantom {
			return Exists, 0, ""
		}
		m.exists, m.phantom = true, false
		m.changed()
		return Done, 0, ""
	}
	if c.Verify == nil && (!m.exists || m.phantom) {
		return NotFound, 0, ""
	}
	if c.Verify != nil || c.Resync != nil {
		if m.failures >= 100 {
			return Locked, 0, ""
		}
		if at < m.retryAt {
			return Locked, m.retryAt, ""
		}
		if generation != m.generation || c.Time < m.time-5*second {
			return Stale, 0, ""
		}
		m.time = at
	}
	switch {
	case c.Verify != nil:
		if !m.exists {
			m.exists, m.phantom = true, true
		}
		spent := false
		for _, match := range c.Verify.Matches {
			k := m.find(match.Credential)
			if k == nil || c.Verify.Device != "" && c.Verify.Device != k.id {
				continue
			}
			t := otp.Step(int64(c.Time) / 1000 / max(int64(k.params.Period), 1))
			if k.params.Mode == otp.TOTP && (match.Step > t+k.drift+1 || match.Step < t+k.drift-1) {
				continue
			}
			if k.params.Mode == otp.HOTP && (match.Step < k.counter || match.Step > k.counter+5) {
				continue
			}
			if match.Step <= k.floor {
				spent = true
				continue
			}
			m.accept(k, match.Step, t)
			return Accepted, 0, k.id
		}
		m.fail(m.priceOf(c.Verify.Device))
		if spent {
			return Spent, 0, ""
		}
		return Wrong, 0, ""
	case c.Resync != nil:
		k := m.find(c.Resync.Credential)
		if k == nil {
			return NotFound, 0, ""
		}
		t := otp.Step(int64(c.Time) / 1000 / max(int64(k.params.Period), 1))
		outcome := Wrong
		for _, n := range c.Resync.Matches {
			if k.params.Mode == otp.TOTP && (n > t+10 || n < t-10) ||
				k.params.Mode == otp.HOTP && (n < k.counter || n >= k.counter+100) {
				continue
			}
			if n <= k.floor {
				outcome = Spent
				continue
			}
			m.accept(k, n+1, t)
			return Accepted, 0, k.id
		}
		m.fail(m.price())
		return outcome, 0, ""
	}
	m.time = at
	switch {
	case c.Enrol != nil:
		e := &c.Enrol.Credential
		if m.find(e.ID) != nil {
			return Conflict, 0, ""
		}
		k := &modelCredential{id: e.ID, params: e.Params, accepted: map[otp.Step]bool{}, floor: -1, counter: e.Counter}
		if e.Params.Mode == otp.HOTP {
			k.floor = e.Counter - 1
		}
		grown := model{credentials: append(m.credentials[:len(m.credentials):len(m.credentials)], k)}
		if len(m.credentials) >= 25 || grown.price() > 10_000 {
			return TooMany, 0, ""
		}
		if len(m.credentials) == 0 {
			m.forget()
		}
		m.credentials = grown.credentials
		m.changed()
		if !m.delayed && m.failures > 0 && m.charge+m.price() > 10_000 {
			m.startDelay(m.last)
		}
		return Done, 0, k.id
	case c.Remove != nil:
		for i, k := range m.credentials {
			if k.id == c.Remove.Credential {
				m.credentials = append(m.credentials[:i:i], m.credentials[i+1:]...)
				m.changed()
				if len(m.credentials) == 0 {
					m.forget()
				}
				return Done, 0, k.id
			}
		}
		return NotFound, 0, ""
	}
	*m = model{generations: m.generations} // delete
	return Done, 0, ""
}

func (m *model) accept(k *modelCredential, step, t otp.Step) {
	if k.params.Mode == otp.HOTP {
		k.counter = step + 1
		m.changed()
	} else if d := max(-10, min(step-t, 10)); d != k.drift {
		k.drift = d
		m.changed()
	}
	k.accepted[step] = true
	k.floor = step
	m.forget()
}

// TestModel drives an account and the model side by side: evaluations are made at one moment, on one state, and
// delivered later, in any order, once, twice or never, with request ids that meet.
func TestModel(t *testing.T) {
	type pending struct {
		command    *Command
		generation int
	}
	rapid.Check(t, func(rt *rapid.T) {
		w, m := newWorld(rt), &model{}
		var evaluations []pending
		spentOnce := map[string]bool{} // every code that was ever accepted, of every life of every credential
		lives := 0

		deliver := func(p pending) {
			c := *p.command
			life := fmt.Sprint(lives)
			outcome, retryAt, credential, replayed := m.step(&c, p.generation)
			r := w.apply(&c)
			if r.Outcome != outcome || r.RetryAt != retryAt || r.Credential != credential || r.Replayed != replayed {
				rt.Fatalf("%s: got %+v, want %v, retry at %d, %q, replayed %v", c.operation(), r, outcome, retryAt,
					credential, replayed)
			}
			a := w.attempts()
			if int(a.Failures) != m.failures || int(a.Charge) != m.charge || a.RetryAt != m.retryAt {
				rt.Fatalf("attempts %+v, want %d failures, charge %d, retry at %d", a, m.failures, m.charge, m.retryAt)
			}
			if a.RetryAt == 0 && a.Charge > Budget {
				rt.Fatalf("%d units were free", a.Charge)
			}
			if outcome == Done && (c.Delete != nil || c.Enrol != nil) {
				lives++
			}
			if outcome == Accepted && !replayed {
				before := m.find(credential)
				key := fmt.Sprint(life, "/", credential, "/", before.floor)
				if spentOnce[key] {
					rt.Fatalf("the code of step %d of %s was accepted twice", before.floor, credential)
				}
				spentOnce[key] = true
			}
			for _, k := range m.credentials {
				got := w.state.Find(k.id)
				if got == nil || got.Watermark != k.floor || otp.Step(got.Drift) != k.drift || got.Counter != k.counter {
					rt.Fatalf("credential %+v, want %+v", got, k)
				}
			}
		}
		ids := rapid.IntRange(0, 24)
		request := func(rt *rapid.T, c *Command) *Command {
			if n := ids.Draw(rt, "request"); n > 6 {
				c.Request = requestID(byte(n))
			}
			return c
		}
		devices := []string{"a", "b", "c", "d"}
		params := []otp.Params{totp6, totp6, totp8, hotp6}
		act := func(make func(rt *rapid.T) *Command) func(*rapid.T) {
			return func(rt *rapid.T) { deliver(pending{request(rt, make(rt)), m.generation}) }
		}
		// near draws a step in or about a credential's window.
		near := func(rt *rapid.T, id string, reach int) otp.Step {
			off := otp.Step(rapid.IntRange(-reach, reach).Draw(rt, "off"))
			if k := w.state.Find(id); k != nil {
				if k.Params.Mode == otp.HOTP {
					return max(k.Counter+off, 0)
				}
				return otp.StepAt(int64(w.now), k.Params.Period) + otp.Step(k.Drift) + off
			}
			return w.step()
		}
		evaluate := func(rt *rapid.T) *Command {
			c := w.verify()
			if rapid.IntRange(0, 3).Draw(rt, "narrow") == 0 {
				c.Verify.Device = rapid.SampledFrom(devices).Draw(rt, "device")
			}
			for range rapid.IntRange(0, 2).Draw(rt, "matches") {
				id := rapid.SampledFrom(devices).Draw(rt, "match")
				c.Verify.Matches = append(c.Verify.Matches, Match{id, near(rt, id, 7)})
			}
			return c
		}
		rt.Repeat(map[string]func(*rapid.T){
			"tick": func(rt *rapid.T) {
				w.now += rapid.SampledFrom([]Time{1, second, 6 * second, 30 * second, minute, 10 * minute, hour, 24 * hour}).
					Draw(rt, "time")
			},
			"create": act(func(rt *rapid.T) *Command { return w.create() }),
			"delete": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
					act(func(*rapid.T) *Command { return w.commandOf(func(c *Command) { c.Delete = &Delete{} }) })(rt)
				}
			},
			"enrol": act(func(rt *rapid.T) *Command {
				i := rapid.IntRange(0, len(devices)-1).Draw(rt, "device")
				return w.enrol(devices[i], params[i])
			}),
			"remove": act(func(rt *rapid.T) *Command { return w.remove(rapid.SampledFrom(devices).Draw(rt, "device")) }),
			"verify": act(evaluate),
			"guess": func(rt *rapid.T) { // until it locks
				for range rapid.IntRange(1, 40).Draw(rt, "times") {
					deliver(pending{w.verify(), m.generation})
				}
			},
			"evaluate": func(rt *rapid.T) {
				evaluations = append(evaluations, pending{request(rt, evaluate(rt)), m.generation})
			},
			"deliver": func(rt *rapid.T) {
				if len(evaluations) > 0 {
					deliver(rapid.SampledFrom(evaluations).Draw(rt, "evaluation"))
				}
			},
			"resync": act(func(rt *rapid.T) *Command {
				id := rapid.SampledFrom(devices).Draw(rt, "device")
				c := w.commandOf(func(c *Command) { c.Resync = &Resync{Credential: id, Evaluated: true} })
				if w.state != nil {
					c.Resync.Keys = w.state.Keys
				}
				for range rapid.IntRange(0, 2).Draw(rt, "matches") {
					c.Resync.Matches = append(c.Resync.Matches, near(rt, id, 12))
				}
				return c
			}),
		})
	})
}
