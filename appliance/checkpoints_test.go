package appliance

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
)

// replica is one node's state and its log, and the key that it signs with.
type replica struct {
	memory
	id   string
	key  ed25519.PrivateKey
	head cluster.LogHead
}

func (r *replica) LogHead() cluster.LogHead { return r.head }

// replicas are three members of one cluster, whose logs have the given size.
func replicas(t *testing.T, size int64) []*replica {
	t.Helper()
	all := make([]*replica, 3)
	for i := range all {
		seed := sha256.Sum256(fmt.Append(nil, "node ", i))
		all[i] = &replica{memory: memory{}, id: fmt.Sprintf("n%d", i+1), key: ed25519.NewKeyFromSeed(seed[:])}
		all[i].grow(size)
	}
	for _, r := range all {
		r.Set([]byte(clusterRecord), mustEncode(clusterInfo{ID: "one", TrustDomain: "d.test"}))
		for _, m := range all {
			pkix, err := x509.MarshalPKIXPublicKey(m.key.Public())
			if err != nil {
				t.Fatal(err)
			}
			r.Set([]byte(memberPrefix+m.id), mustEncode(member{ID: m.id, LogKey: pkix, Joined: true}))
		}
	}
	return all
}

func (r *replica) grow(size int64) {
	r.head = cluster.LogHead{Head: audit.Head{Tree: "2026", Size: size, Root: sha256.Sum256(fmt.Append(nil, size))}}
}

func (r *replica) apply(cmd logCommand) error {
	var machine Machine
	a, err := machine.Apply(r, append([]byte{logCommandByte}, mustEncode(cmd)...))
	if err == nil && a.NewTree != nil {
		a.NewTree.Closed(r.head.Head)
		a.Finish(r.head.Size)
	}
	return err
}

func applyAll(t *testing.T, all []*replica, cmd logCommand) {
	t.Helper()
	for _, r := range all {
		if err := r.apply(cmd); err != nil {
			t.Fatalf("%s: %v", r.id, err)
		}
	}
}

func (r *replica) intent(t *testing.T) intent {
	t.Helper()
	i, _, err := readRecord[intent](r, intentRecord)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (r *replica) checkpoint(t *testing.T, tree string) checkpoint {
	t.Helper()
	c, _, err := readRecord[checkpoint](r, checkpointPrefix+tree)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sign is what the node says of its intent.
func (r *replica) sign(t *testing.T) logCommand {
	t.Helper()
	i := r.intent(t)
	text := audit.CheckpointText(audit.Origin("d.test", i.Tree), i.Size, i.Root)
	lines, err := audit.Sign(rand.Reader, text, audit.CosignerName("d.test", r.id), 1767225600, r.key)
	if err != nil {
		t.Fatal(err)
	}
	return logCommand{Time: 1, Node: r.id, Sign: &signed{
		Tree: i.Tree, Size: i.Size, Root: i.Root, Effects: i.Effects, Log: lines.Log, Cosigner: lines.Cosigner,
	}}
}

func policyOf(t *testing.T, all []*replica) *audit.Policy {
	t.Helper()
	var nodes []audit.Signer
	for _, r := range all {
		nodes = append(nodes, audit.Signer{Node: r.id, Key: r.key.Public()})
	}
	text, err := audit.FormatPolicy("d.test", "2026", nodes, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := audit.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAMajorityMakesACheckpointCount(t *testing.T) {
	all := replicas(t, 100)
	applyAll(t, all, logCommand{Time: 1000, Intent: &intend{}})
	applyAll(t, all, all[1].sign(t))
	if c := all[0].checkpoint(t, "2026"); c.Size != 0 {
		t.Fatalf("one of three signed, and it counts: %+v", c)
	}
	applyAll(t, all, all[1].sign(t)) // again
	if c := all[0].checkpoint(t, "2026"); c.Size != 0 {
		t.Fatalf("the same node twice made a majority: %+v", c)
	}
	applyAll(t, all, all[2].sign(t))
	policy := policyOf(t, all)
	for _, r := range all {
		c := r.checkpoint(t, "2026")
		head, err := policy.Open(c.note("d.test"))
		if err != nil || head.Size != 100 || len(head.Signed) != 2 {
			t.Errorf("%s: %+v, %v", r.id, head, err)
		}
	}
	applyAll(t, all, all[0].sign(t))
	c := all[0].checkpoint(t, "2026")
	if head, err := policy.Open(c.note("d.test")); err != nil || len(head.Signed) != 3 {
		t.Errorf("with the third: %+v, %v", head, err)
	}
}

func TestASignatureThatIsNotANodesIsIgnored(t *testing.T) {
	all := replicas(t, 100)
	applyAll(t, all, logCommand{Time: 1000, Intent: &intend{}})
	forged := func(change func(*logCommand)) {
		t.Helper()
		cmd := all[1].sign(t)
		change(&cmd)
		applyAll(t, all, cmd)
		if i := all[0].intent(t); len(i.Signed) != 0 {
			t.Errorf("%+v was taken", cmd.Sign)
		}
	}
	forged(func(c *logCommand) { c.Node = "n3" })
	forged(func(c *logCommand) { c.Node = "stranger" })
	forged(func(c *logCommand) { c.Sign.Root[0]++ })
	forged(func(c *logCommand) { c.Sign.Size++ })
	forged(func(c *logCommand) { c.Sign.Tree = "2025" })
	forged(func(c *logCommand) { c.Sign.Log = c.Sign.Cosigner })
	forged(func(c *logCommand) { c.Sign.Cosigner = c.Sign.Log })
	forged(func(c *logCommand) { c.Sign.Log = "" })
	forged(func(c *logCommand) { c.Sign.Log += c.Sign.Cosigner })
	for _, change := range []func(*member){
		func(m *member) { m.Joined = false }, // who was admitted and is not in yet
		func(m *member) { m.Retired = true }, // who was removed has no word any more
	} {
		changeAll(all, "n2", change)
		forged(func(*logCommand) {})
	}
}

func changeAll(all []*replica, id string, change func(*member)) {
	for _, r := range all {
		m, _, _ := readRecord[member](r, memberPrefix+id)
		m.Joined, m.Retired = true, false
		change(&m)
		r.Set([]byte(memberPrefix+id), mustEncode(m))
	}
}

// TestWhoWasRemovedIsNoPartOfAMajority, though it signed before: the policy of those that are left doesn't know it.
func TestWhoWasRemovedIsNoPartOfAMajority(t *testing.T) {
	all := replicas(t, 100)
	applyAll(t, all, logCommand{Time: 1000, Intent: &intend{}})
	applyAll(t, all, all[2].sign(t))
	changeAll(all, "n3", func(m *member) { m.Retired = true })
	applyAll(t, all, all[0].sign(t))
	if c := all[0].checkpoint(t, "2026"); c.Size != 0 {
		t.Fatalf("one of two that are left signed, and it counts: %+v", c)
	}
	applyAll(t, all, all[1].sign(t))
	c := all[0].checkpoint(t, "2026")
	if head, err := policyOf(t, all[:2]).Open(c.note("d.test")); err != nil || len(head.Signed) != 2 {
		t.Errorf("both that are left: %+v, %v", head, err)
	}
}

// TestTheOddNodeStops: the one whose root, or whose state, is another learns it and stops; the others go on.
func TestTheOddNodeStops(t *testing.T) {
	for name, change := range map[string]func(*cluster.LogHead){
		"root":  func(h *cluster.LogHead) { h.Root[5]++ },
		"state": func(h *cluster.LogHead) { h.Effects[5]++ },
	} {
		t.Run(name, func(t *testing.T) {
			all := replicas(t, 90)
			applyAll(t, all, logCommand{Time: 1000, Intent: &intend{}})
			applyAll(t, all, all[0].sign(t))
			applyAll(t, all, all[1].sign(t))
			for _, r := range all {
				r.grow(100)
			}
			odd := all[0] // it may well be the leader
			change(&odd.head)
			applyAll(t, all, logCommand{Time: 2000, Intent: &intend{}})
			applyAll(t, all, odd.sign(t))
			applyAll(t, all, all[1].sign(t))
			for _, r := range all[1:] {
				if err := r.apply(all[2].sign(t)); err != nil {
					t.Errorf("%s, which is right, stops: %v", r.id, err)
				}
				if c := r.checkpoint(t, "2026"); c.Size != 100 || len(c.Lines) != 4 {
					t.Errorf("%s: the others' checkpoint is %+v", r.id, c)
				}
			}
			err := odd.apply(all[2].sign(t))
			if err == nil {
				t.Fatal("the odd node goes on")
			}
			for _, say := range []string{"at size 100 of the log's tree 2026", "n2, n3", "agreed at size 90", name} {
				if !strings.Contains(err.Error(), say) {
					t.Errorf("%q does not say %q", err, say)
				}
			}
		})
	}
}

func TestOneIntentAtATime(t *testing.T) {
	all := replicas(t, 100)
	r := all[0]
	intend := func(at account.Time, size int64) int64 {
		t.Helper()
		r.grow(size)
		if err := r.apply(logCommand{Time: at, Intent: &intend{}}); err != nil {
			t.Fatal(err)
		}
		return r.intent(t).Size
	}
	for _, step := range []struct {
		at   account.Time
		size int64
		want int64
		why  string
	}{
		{1000, 0, 0, "an empty log"},
		{1000, 100, 100, "the first"},
		{1500, 110, 100, "the first waits for its majority"},
		{5999, 120, 100, "and has 5 s"},
		{6000, 120, 120, "then another takes its place"},
		{99999, 120, 120, "no news"},
	} {
		if got := intend(step.at, step.size); got != step.want {
			t.Errorf("%s: the intent is of size %d, want %d", step.why, got, step.want)
		}
	}
	for _, other := range all {
		other.memory = r.memory
	}
	for _, by := range all[:2] {
		if err := r.apply(by.sign(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := intend(6099, 130); got != 120 {
		t.Errorf("99 ms after the last: size %d", got)
	}
	if got := intend(6100, 130); got != 130 {
		t.Errorf("100 ms after the last, which counts: size %d", got)
	}
}

func TestATreeEndsWithACheckpointBeforeTheNextHasOne(t *testing.T) {
	all := replicas(t, 100)
	applyAll(t, all, logCommand{Time: 1000, Begin: &begin{Tree: "2026"}}) // it has that name already
	if i := all[0].intent(t); i.Tree != "" {
		t.Fatalf("a tree followed itself: %+v", i)
	}
	applyAll(t, all, logCommand{Time: 1000, Begin: &begin{Tree: "2027"}})
	ended := all[0].intent(t)
	if ended.Tree != "2026" || ended.Size != 100 {
		t.Fatalf("the intent is %+v, want the end of 2026", ended)
	}
	for _, r := range all {
		r.head.Tree, r.head.First, r.head.Size = "2027", 100, 1
	}
	applyAll(t, all, logCommand{Time: 99_000, Intent: &intend{}})
	applyAll(t, all, logCommand{Time: 99_000, Begin: &begin{Tree: "2028"}})
	if i := all[0].intent(t); i.Tree != "2026" {
		t.Fatalf("the end of 2026 was passed over for %+v", i)
	}
	applyAll(t, all, all[0].sign(t))
	applyAll(t, all, all[1].sign(t))
	applyAll(t, all, logCommand{Time: 99_500, Intent: &intend{}})
	if i := all[0].intent(t); i.Tree != "2027" || i.Size != 1 {
		t.Errorf("the intent is %+v, want the new tree's", i)
	}
	if c := all[2].checkpoint(t, "2026"); c.Size != 100 {
		t.Errorf("the old tree's checkpoint: %+v", c)
	}
}

func TestPruningNeedsAPolicyAndAnArchive(t *testing.T) {
	const day = 24 * 60 * 60 * 1000
	m := memory{checkpointPrefix + "2026": mustEncode(checkpoint{Tree: "2026", Size: 1000})}
	pruneAt := func(days account.Time, position int64) account.Outcome {
		return m.apply(t, estate{Time: 1 + days*day, Prune: &prune{Tree: "2026", Position: position, Last: 1}})
	}
	archive := func(size int64) account.Outcome {
		return m.apply(t, estate{Archived: &setArchived{Tree: "2026", Size: size, Where: "sql"}})
	}
	keep := func(days int) { m.apply(t, estate{Retention: &setRetention{Retention{KeepDays: days}}}) }
	refused := func(why string, got account.Outcome) {
		t.Helper()
		if _, pruned := m[prunedPrefix+"2026"]; got != account.RefusedByPolicy || pruned {
			t.Errorf("%s: %v", why, got)
		}
	}
	refused("no policy", pruneAt(10_000, 256))
	keep(30)
	refused("no archive", pruneAt(10_000, 256))
	if got := archive(1001); got != account.NotFound {
		t.Errorf("an archive of what has no checkpoint: %v", got)
	}
	archive(512)
	refused("not archived so far", pruneAt(10_000, 513))
	refused("too young", pruneAt(29, 512))
	if got := pruneAt(30, 512); got != account.Done {
		t.Errorf("old and archived: %v", got)
	}
	pruneAt(30, 256)
	if at, _, _ := readRecord[int64](m, prunedPrefix+"2026"); at != 512 {
		t.Errorf("the minimum went back to %d", at)
	}
	keep(0)
	if got := pruneAt(10_000, 512); got != account.RefusedByPolicy {
		t.Errorf("for ever: %v", got)
	}
}
