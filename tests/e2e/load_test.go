package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/wire"
)

// guest is an account that is asked about again and again. Its codes are computed here: oathtool is too slow for load.
type guest struct {
	name string
	code func(last string) string // the next one, after the outcome of the last
}

// counter is a guest with a HOTP authenticator: every other code is right.
func (r *rig) counter(t *testing.T) guest {
	t.Helper()
	name := r.account(t)
	seed := make([]byte, 20)
	_, _ = rand.Read(seed)
	uri := "otpauth://hotp/e2e:" + name + "?issuer=e2e&counter=0&secret=" + base32.StdEncoding.EncodeToString(seed)
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+name+"/authenticators", map[string]string{"uri": uri}, nil)
	next, right := uint64(0), false
	return guest{name, func(last string) string {
		if right && last == wire.Accepted {
			next++
		}
		if right = !right; right {
			return hotp(seed, next)
		}
		return "000000"
	}}
}

// owner is a guest with a device: the codes of the window, right once and spent from then on, and wrong ones between.
func (r *rig) owner(t *testing.T) guest {
	t.Helper()
	name := r.account(t)
	d := r.enrolDevice(t, 0, name)
	n := 0
	return guest{name, func(string) string {
		n++
		if n%4 == 0 {
			return "000000"
		}
		return hotp(d.seed.Reveal(), uint64(time.Now().Unix()/30+int64(n%4)-2))
	}}
}

// guesser is a guest whose codes are wrong until it is locked. The account exists or it doesn't.
func (r *rig) guesser(t *testing.T, exists bool) guest {
	t.Helper()
	name := "nobody-" + rand.Text()
	if exists {
		name = r.account(t)
		r.importSeed(t, name)
	}
	return guest{name, func(string) string { return "000000" }}
}

// hotp is RFC 4226 with six digits.
func hotp(seed []byte, counter uint64) string {
	mac := hmac.New(sha1.New, seed)
	_ = binary.Write(mac, binary.BigEndian, counter)
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&(1<<31-1)%1_000_000)
}

// answered is a verification that got its answer.
type answered struct {
	account, key string
	sent         int // how often, until there was an answer
	wire.Verification
}

// busy is guests who ask, each request with a key of its own and repeated at the other nodes until it is answered.
type busy struct {
	answers chan answered
	done    chan struct{}
	wg      sync.WaitGroup
	all     []answered
	lost    chan error
}

// busyWith has each of the guests ask, over all nodes, until end is called.
func (r *rig) busyWith(t *testing.T, guests ...guest) *busy {
	t.Helper()
	b := &busy{answers: make(chan answered, 1<<17), done: make(chan struct{}), lost: make(chan error, len(guests))}
	for worker, g := range guests {
		prefix := rand.Text()
		b.wg.Go(func() {
			last := ""
			for i := 0; ; i++ {
				select {
				case <-b.done:
					return
				default:
				}
				a, err := r.ask(t.Context(), worker+i, g.name, g.code(last), fmt.Sprintf("%s-%d", prefix, i))
				if err != nil {
					b.lost <- err
					return
				}
				last = a.Outcome
				b.answers <- a
			}
		})
	}
	t.Cleanup(func() { b.end(t) })
	return b
}

// answerIn bounds how long a request may be repeated.
const answerIn = time.Minute

// ask repeats a request, one node after the other, until it is answered.
func (r *rig) ask(ctx context.Context, node int, account, code, key string) (answered, error) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	a := answered{account: account, key: key}
	for {
		a.sent++
		_, err := r.once(ctx, node%r.count(), http.MethodPost, "/v1/accounts/"+account+"/verifications", key,
			map[string]string{"code": code}, &a.Verification)
		if err == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return a, fmt.Errorf("asking about %s was not answered in %v: %w", account, answerIn, err)
		}
		node++
	}
}

// await returns after n more answers.
func (b *busy) await(t *testing.T, n int) {
	t.Helper()
	timer := time.NewTimer(answerIn)
	defer timer.Stop()
	for range n {
		select {
		case a := <-b.answers:
			b.all = append(b.all, a)
		case err := <-b.lost:
			t.Fatal(err)
		case <-timer.C:
			t.Fatalf("the load stands still after %d answers", len(b.all))
		}
	}
}

// end lets the guests finish and returns all answers.
func (b *busy) end(t *testing.T) []answered {
	t.Helper()
	select {
	case <-b.done:
		return b.all
	default:
	}
	close(b.done)
	b.wg.Wait()
	close(b.answers)
	for a := range b.answers {
		b.all = append(b.all, a)
	}
	select {
	case err := <-b.lost:
		t.Error(err)
	default:
	}
	return b.all
}
