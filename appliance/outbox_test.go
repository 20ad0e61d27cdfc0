package appliance

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/appliance/account"
)

const testTime account.Time = 1767225600000

// run applies an account command and returns its outcome.
func (m memory) run(t *testing.T, set func(*account.Command)) account.Result {
	t.Helper()
	c := &account.Command{Time: testTime, Tenant: "acme", Account: "ann", Salt: fmt.Appendf(nil, "%016d", len(m)), Node: "n1", Module: "m"}
	set(c)
	var machine Machine
	applied, err := machine.Apply(m, append([]byte{accountCommand}, account.EncodeCommand(c)...))
	if err != nil {
		t.Fatal(err)
	}
	var result account.Result
	if err := decode(applied.Finish(7), &result); err != nil {
		t.Fatal(err)
	}
	return result
}

func (m memory) head(t *testing.T) outboxHead {
	t.Helper()
	head, err := readHead(m, "acme")
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func (m memory) count(prefix string) (n int) {
	for k := range m {
		if strings.HasPrefix(k, prefix) {
			n++
		}
	}
	return n
}

func beginningOf(id string) func(*account.Command) {
	return func(c *account.Command) {
		c.Begin = &account.Begin{SignIn: id, Nonce: []byte("0123456789abcdef"), Purpose: account.ForDevice}
	}
}

func cancelling(id string) func(*account.Command) {
	return func(c *account.Command) { c.Cancel = &account.Cancel{SignIn: id} }
}

// outboxOf is a tenant with an account and a webhook for front-ends.
func outboxOf(t *testing.T) memory {
	t.Helper()
	m := memory{}
	m.run(t, func(c *account.Command) { c.Create = &account.Create{} })
	if got := m.apply(t, estate{SetWebhook: &setWebhook{"acme", toFrontend, webhook{URL: "https://push.example/secret", Version: 1}}}); got != account.Done {
		t.Fatalf("setting a webhook: %v", got)
	}
	return m
}

// TestNoticesAreKeptWithTheAct, once in the ring and once for each way, until they are delivered.
func TestNoticesAreKeptWithTheAct(t *testing.T) {
	m := outboxOf(t)
	m.run(t, beginningOf("s1"))
	m.run(t, cancelling("s1"))
	if head := m.head(t); head.Next != 2 || head.Waiting != [3]uint32{0, 2, 0} {
		t.Fatalf("the outbox is at %+v", head)
	}
	var kinds []account.NoticeKind
	if err := scanRecords(m, pendingPrefix, func(_ string, n numbered) { kinds = append(kinds, n.Notice.Kind) }); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(kinds, []account.NoticeKind{account.NoticeBegun, account.NoticeCancelled}) {
		t.Errorf("pending: %v", kinds)
	}
	deliver := func(numbers ...uint64) {
		t.Helper()
		cmd := noticeCommand{Time: testTime, Node: "n1", Delivered: &delivered{"acme", toFrontend, numbers}}
		a, err := (&Machine{}).Apply(m, append([]byte{noticeCommandByte}, mustEncode(cmd)...))
		if err != nil || len(a.Entries) != 0 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	deliver(1)
	deliver(1, 99) // two leaders said so
	if head := m.head(t); head.Waiting[toFrontend] != 1 || m.count(pendingPrefix) != 1 || m.count(outboxPrefix+"notice/") != 2 {
		t.Errorf("after one was delivered: %+v", head)
	}
	if got := m.apply(t, estate{SetWebhook: &setWebhook{Tenant: "acme", Destination: toFrontend}}); got != account.Done {
		t.Fatalf("removing the webhook: %v", got)
	}
	if head := m.head(t); head.Waiting[toFrontend] != 0 || m.count(pendingPrefix) != 0 {
		t.Errorf("after its webhook was removed: %+v", head)
	}
	m.run(t, beginningOf("s2"))
	if head := m.head(t); head.Next != 3 || m.count(pendingPrefix) != 0 {
		t.Errorf("without a webhook: %+v", head)
	}
	if got := m.apply(t, estate{SetWebhook: &setWebhook{Tenant: "acme", Destination: toFrontend}}); got != account.NotFound {
		t.Errorf("removing none: %v", got)
	}
}

// TestNoticesGoWithTheirAccount: they name it and the times of its entries.
func TestNoticesGoWithTheirAccount(t *testing.T) {
	m := outboxOf(t)
	m.run(t, beginningOf("s1"))
	m.run(t, cancelling("s1"))
	other := func(c *account.Command) { c.Account = "ann-marie" }
	m.run(t, func(c *account.Command) { other(c); c.Create = &account.Create{} })
	m.run(t, func(c *account.Command) { other(c); beginningOf("s2")(c) })
	if got := m.run(t, func(c *account.Command) { c.Delete = &account.Delete{} }); got.Outcome != account.Done {
		t.Fatalf("deleting: %v", got.Outcome)
	}
	if head := m.head(t); head.Next != 3 || head.Waiting != [3]uint32{0, 1, 0} {
		t.Errorf("the outbox is at %+v", head)
	}
	var left []string
	for _, prefix := range []string{outboxPrefix + "notice/", pendingPrefix} {
		if err := scanRecords(m, prefix, func(_ string, n numbered) { left = append(left, n.Notice.Account) }); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(left, []string{"ann-marie", "ann-marie"}) {
		t.Errorf("notices are left of %q", left)
	}
}

func TestTheRingIsBounded(t *testing.T) {
	m := outboxOf(t)
	for i := range keepNotices/2 + 10 {
		id := fmt.Sprint("s", i)
		m.run(t, beginningOf(id))
		m.run(t, cancelling(id))
	}
	if n := m.count(outboxPrefix + "notice/"); n != keepNotices {
		t.Errorf("%d notices are kept for streams", n)
	}
}

// TestAFullOutbox refuses what is nothing without its notice, and drops the oldest of the rest.
func TestAFullOutbox(t *testing.T) {
	m := outboxOf(t)
	if r := m.run(t, beginningOf("s1")); r.Outcome != account.Done {
		t.Fatal(r)
	}
	head := m.head(t)
	head.Waiting[toFrontend] = maxPending
	m.Set([]byte(headKey("acme")), mustEncode(head))
	if r := m.run(t, beginningOf("s2")); r.Outcome != account.Full {
		t.Errorf("beginning: %v", r.Outcome)
	}
	if r := m.run(t, cancelling("s1")); r.Outcome != account.Done {
		t.Errorf("cancelling: %v", r.Outcome)
	}
	head = m.head(t)
	head.Waiting[toFrontend] = 2 * maxPending
	m.Set([]byte(headKey("acme")), mustEncode(head))
	m.run(t, func(c *account.Command) {
		c.Enrol = &account.Enrol{Door: account.SealedDoor, Credential: account.Credential{
			ID: "phone", Kind: account.Device, Params: deviceParams, Seed: []byte("s"), PublicKey: []byte("k"),
		}}
	})
	head = m.head(t)
	first, err := oldest(m, pendingPrefixOf("acme", toFrontend), nil)
	if err != nil || head.Lost != 1 || head.Waiting[toFrontend] != 2*maxPending || string(first) != string(pendingKey("acme", toFrontend, 2)) {
		t.Errorf("%+v, the oldest is %q, %v", head, first, err)
	}
}

// TestAFullOutboxStartsNoRecovery: nobody would hear of it, be it by devices or by phones. What ends one isn't held up.
func TestAFullOutboxStartsNoRecovery(t *testing.T) {
	for _, full := range destinations {
		m := outboxOf(t)
		m.Set([]byte(policyPrefix+"acme"), mustEncode(Policy{Recovery: account.RecoveryPolicy{Allow: true}}))
		start := func(id string) account.Outcome {
			return m.run(t, func(c *account.Command) {
				c.StartRecovery = &account.StartRecovery{ID: id, Nonce: []byte("0123456789abcdef")}
			}).Outcome
		}
		act := func(q account.RecoveryAct) account.Outcome {
			q.Recovery = "r1"
			return m.run(t, func(c *account.Command) { c.Time, c.RecoveryAct = testTime+20*24*60*60*1000, &q }).Outcome
		}
		waiting := func(n uint32) {
			head := m.head(t)
			head.Waiting[full] = n
			m.Set([]byte(headKey("acme")), mustEncode(head))
		}
		waiting(maxPending)
		if got := start("r0"); got != account.Full {
			t.Errorf("%v is full: started: %v", full, got)
		}
		waiting(0)
		if got := start("r1"); got != account.Done {
			t.Fatalf("started: %v", got)
		}
		if got := act(account.RecoveryAct{Act: account.RecoveryEvidence, Kind: account.EmailEvidence}); got != account.Done {
			t.Errorf("evidence: %v", got)
		}
		waiting(maxPending)
		claim := account.RecoveryAct{Act: account.RecoveryClaim, Random: make([]byte, account.GrantSize)}
		if got := act(claim); got != account.Full {
			t.Errorf("%v is full: claimed: %v", full, got)
		}
		if got := act(account.RecoveryAct{Act: account.RecoveryWithdraw}); got != account.Done {
			t.Errorf("%v is full: withdrawn: %v", full, got)
		}
	}
}

// TestAnUnknownNoticeCommandStopsTheNode.
func TestAnUnknownNoticeCommandStopsTheNode(t *testing.T) {
	for _, command := range [][]byte{
		{noticeCommandByte},
		{noticeCommandByte, 0xa0},
		append([]byte{noticeCommandByte}, mustEncode(noticeCommand{})...),
		append([]byte{noticeCommandByte}, mustEncode(noticeCommand{Delivered: &delivered{"acme", 3, nil}})...),
		append([]byte{noticeCommandByte}, 0xa1, 0x18, 0x63, 0x00),
	} {
		if _, err := (&Machine{}).Apply(memory{}, command); err == nil {
			t.Errorf("%x was applied", command)
		}
	}
}

// Stored notices and commands about them, byte by byte: files that fail mean that another way must be found.
func TestNoticeGolden(t *testing.T) {
	notice := account.Notice{
		Kind: account.NoticeBegun, ID: "0123456789abcdef01234567", Account: "ann", Time: testTime, SignIn: "s1",
		Nonce: []byte("0123456789abcdef"), Purpose: account.ForDevice, Expires: testTime + 600_000,
		Device: account.NewDevice{Kind: "computer", Model: "Mac"}, Place: account.Place{Label: "Oslo", Latitude: 5990, Longitude: -10, Accuracy: 20},
		Devices: []string{"phone"}, Credential: "c", Name: "n",
	}
	job := account.Notice{
		Kind: account.NoticeSend, ID: "0123456789abcdef01234567", Account: "ann", Time: testTime, SignIn: "s1", Expires: testTime + 600_000,
		Phone: "p1", Masked: "m", Number: "+14155550101", Voice: true, N: 9,
	}
	step := account.Notice{
		Kind: account.NoticeSend, ID: "0123456789abcdef01234567", Account: "ann", Time: testTime, Expires: testTime + 600_000,
		Phone: "t1", Number: "+14155550161", N: 3, TwoStep: true,
	}
	told := account.Notice{
		Kind: account.NoticeRecoveryStarted, ID: "0123456789abcdef01234567", Account: "ann", Time: testTime, Recovery: "r1",
		Nonce: []byte("0123456789abcdef"), Ready: testTime + 600_000, Devices: []string{"phone"}, Phones: []string{"p1"},
	}
	tell := account.Notice{
		Kind: account.NoticeTell, ID: "0123456789abcdef01234567", Account: "ann", Time: testTime, Expires: testTime + 900_000, Phone: "p1",
		Number: "+14155550101", Recovery: "r1", Ready: testTime + 600_000, About: account.NoticeRecoveryGranted,
	}
	for name, got := range map[string][]byte{
		"notice-two-step": mustEncode(numbered{Number: 9, Notice: step}),
		"notice-recovery": mustEncode(numbered{Number: 7, Notice: told}),
		"notice-tell":     mustEncode(numbered{Number: 8, Notice: tell}),
		"policy-recovery": mustEncode(Policy{
			Recovery: account.RecoveryPolicy{
				Allow: true, WaitDays: 14, FloorDays: 3, PauseDays: 7,
				Shorten: account.Weights{PhoneCode: 120, Device: 121, Password: 24, Email: 48},
			},
			Reset: account.ResetPolicy{LocalPresence: true, ByCode: true},
		}),
		"notice":           mustEncode(numbered{Number: 7, Notice: notice}),
		"notice-job":       mustEncode(numbered{Number: 8, Notice: job}),
		"notice-head":      mustEncode(outboxHead{Next: 9, Waiting: [3]uint32{0, 2, 1}, Lost: 3}),
		"notice-delivered": mustEncode(noticeCommand{Time: testTime, Node: "n1", Delivered: &delivered{"acme", toGateway, []uint64{7, 8}}}),
		"webhook": mustEncode(estate{
			Time: testTime, Actor: "a", Node: "n1", Module: "m",
			SetWebhook: &setWebhook{"acme", toGateway, webhook{URL: "https://sms.example", Seed: []byte("seed"), Version: 2}},
		}),
	} {
		text, err := os.ReadFile(filepath.Join("testdata", "golden", name+".hex"))
		if err != nil {
			t.Errorf("%v; it would be\n%x", err, got)
			continue
		}
		var want []byte
		for line := range strings.Lines(string(text)) {
			digits, _, _ := strings.Cut(line, "#")
			part, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want = append(want, part...)
		}
		if string(want) != string(got) {
			t.Errorf("%s is encoded as\n%x, not as\n%x", name, got, want)
		}
	}
}
