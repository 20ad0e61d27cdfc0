package appliance

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
)

// A checkpoint of the key-usage log comes about in committed steps, so that a crash at any of them leaves what can be gone
// on with, and no two roots at one size are ever signed:
//
//	intent      one node, the leader as a rule, proposes to sign the log as it is. Applying it, every node notes the size
//	            that the log has at this place, and the root that its own state has there.
//	signatures  every node signs the root that it noted, with the key of its module, if the entries that it holds have it
//	            too, and those that it signed before; and proposes its signature. Everybody checks it.
//	checkpoint  with the signature that makes a majority for one root, the checkpoint counts. A node that noted another
//	            root learns it here, says so, and stops.
//
// The hash of all effects is compared with the root, so that a state that was changed is found even if no entry tells yet.
// It is not signed: auditors have no use for it.
//
// The transitions are as pure as those of package account.
type logCommand struct {
	Time account.Time `cbor:"1,keyasint"`
	Node string       `cbor:"2,keyasint"`

	Intent  *intend    `cbor:"10,keyasint,omitempty"`
	Sign    *signed    `cbor:"11,keyasint,omitempty"`
	Witness *witnessed `cbor:"12,keyasint,omitempty"`
	Begin   *begin     `cbor:"13,keyasint,omitempty"`
}

// intend asks all nodes to sign the log as it is.
type intend struct{}

// signed is one node's word on an intent.
type signed struct {
	Tree     string   `cbor:"1,keyasint"`
	Size     int64    `cbor:"2,keyasint"`
	Root     [32]byte `cbor:"3,keyasint"`
	Effects  [32]byte `cbor:"4,keyasint"`
	Log      string   `cbor:"5,keyasint"` // signature line under the origin
	Cosigner string   `cbor:"6,keyasint"` // signature line under the node's own name
}

// witnessed adds a witness's cosignature to a checkpoint.
type witnessed struct {
	Tree string `cbor:"1,keyasint"`
	Size int64  `cbor:"2,keyasint"`
	VKey string `cbor:"3,keyasint"`
	Line string `cbor:"4,keyasint"`
}

// begin ends the tree that grows, and begins another.
type begin struct {
	Tree string `cbor:"1,keyasint"`
}

// intent is what is to be signed, and who has signed. There is one at a time.
type intent struct {
	Tree      string       `cbor:"1,keyasint"`
	Size      int64        `cbor:"2,keyasint"`
	Root      [32]byte     `cbor:"3,keyasint"` // as this node's own state has it
	Effects   [32]byte     `cbor:"4,keyasint"`
	Time      account.Time `cbor:"5,keyasint"`
	Signed    []vote       `cbor:"6,keyasint"` // by node
	Published bool         `cbor:"7,keyasint"`
}

type vote struct {
	Node     string   `cbor:"1,keyasint"`
	Root     [32]byte `cbor:"2,keyasint"`
	Effects  [32]byte `cbor:"3,keyasint"`
	Log      string   `cbor:"4,keyasint"`
	Cosigner string   `cbor:"5,keyasint"`
}

// checkpoint is the newest of a tree that counts.
type checkpoint struct {
	Tree      string       `cbor:"1,keyasint"`
	Size      int64        `cbor:"2,keyasint"`
	Root      [32]byte     `cbor:"3,keyasint"`
	Time      account.Time `cbor:"4,keyasint"`
	Lines     []string     `cbor:"5,keyasint"` // signatures of nodes: all of the log, then all of cosigners
	Witnesses []cosigned   `cbor:"6,keyasint"`
}

type cosigned struct {
	VKey string `cbor:"1,keyasint"`
	Line string `cbor:"2,keyasint"`
}

const (
	// intentPatience is how long, in milliseconds, an intent may wait for its majority before another may take its place.
	intentPatience account.Time = 5_000
	// intentEvery is the least time between two intents, whoever asks.
	intentEvery account.Time = 100
)

func applyLog(tx cluster.Tx, encoded []byte) (cluster.Applied, error) {
	var cmd logCommand
	if err := decode(encoded, &cmd); err != nil {
		return cluster.Applied{}, fmt.Errorf("decoding a command about the log: %w", err)
	}
	info, known, err := readRecord[clusterInfo](tx, clusterRecord)
	if err != nil {
		return cluster.Applied{}, err
	}
	if !known {
		return cluster.Applied{}, fmt.Errorf("a command about the log before the cluster was founded")
	}
	switch {
	case cmd.Intent != nil:
		return cluster.Applied{}, cmd.intend(tx)
	case cmd.Sign != nil:
		return cluster.Applied{}, cmd.Sign.apply(tx, info, cmd.Node, cmd.Time)
	case cmd.Witness != nil:
		return cluster.Applied{}, cmd.Witness.apply(tx, info)
	case cmd.Begin != nil:
		return cmd.begin(tx, info)
	}
	return cluster.Applied{}, fmt.Errorf("applying a command about the log of an unknown kind")
}

func (i *intent) head() SignedHead { return SignedHead{Tree: i.Tree, Size: i.Size, Root: i.Root} }

// due says whether another intent may follow the one that there is.
func (i *intent) due(head audit.Head, at account.Time) bool {
	switch {
	case i.Tree == "": // the first of all
		return true
	case i.Tree == head.Tree && i.Size == head.Size: // no news
		return false
	case !i.Published && i.Tree != head.Tree: // nothing of a new tree is signed before the end of the old one
		return false
	case !i.Published:
		return at-i.Time >= intentPatience
	}
	return at-i.Time >= intentEvery
}

func (c *logCommand) intend(tx cluster.Tx) error {
	old, _, err := readRecord[intent](tx, intentRecord)
	if err != nil {
		return err
	}
	head := tx.LogHead()
	if head.Size == 0 || !old.due(head.Head, c.Time) {
		return nil
	}
	tx.Set([]byte(intentRecord), mustEncode(intent{
		Tree: head.Tree, Size: head.Size, Root: head.Root, Effects: head.Effects, Time: max(c.Time, old.Time),
	}))
	return nil
}

func (s *signed) apply(tx cluster.Tx, info clusterInfo, node string, at account.Time) error {
	i, known, err := readRecord[intent](tx, intentRecord)
	if err != nil || !known || i.Tree != s.Tree || i.Size != s.Size {
		return err
	}
	if slices.ContainsFunc(i.Signed, func(v vote) bool { return v.Node == node }) {
		return nil
	}
	m, known, err := readRecord[member](tx, memberPrefix+node)
	if err != nil || !known || !m.counts() {
		return err
	}
	key, err := x509.ParsePKIXPublicKey(m.LogKey)
	if err != nil {
		return nil //nolint:nilerr // a member whose key nobody can check is as good as silent
	}
	text := audit.CheckpointText(audit.Origin(info.TrustDomain, s.Tree), s.Size, s.Root)
	lines := audit.Signatures{Log: s.Log, Cosigner: s.Cosigner}
	if lines.Check(text, audit.CosignerName(info.TrustDomain, node), key) != nil {
		return nil
	}
	i.Signed = append(i.Signed, vote{Node: node, Root: s.Root, Effects: s.Effects, Log: s.Log, Cosigner: s.Cosigner})
	slices.SortFunc(i.Signed, func(a, b vote) int { return strings.Compare(a.Node, b.Node) })
	voters := map[string]bool{}
	err = scanRecords(tx, memberPrefix, func(_ string, m member) {
		if m.counts() {
			voters[m.ID] = true
		}
	})
	if err != nil {
		return err
	}
	// Who signed and was removed since is no part of the majority.
	i.Signed = slices.DeleteFunc(i.Signed, func(v vote) bool { return !voters[v.Node] })
	agreed := i.agreeing(s.Root, s.Effects)
	if len(agreed) >= audit.Majority(len(voters)) {
		if s.Root != i.Root || s.Effects != i.Effects {
			return i.diverged(tx, s, agreed)
		}
		i.Published = true
		c, _, err := readRecord[checkpoint](tx, checkpointPrefix+i.Tree)
		if err != nil {
			return err
		}
		if c.Size != i.Size { // one more signature leaves the witnesses' as they are
			c = checkpoint{Tree: i.Tree, Size: i.Size, Root: i.Root, Time: at}
		}
		c.Lines = nil
		for _, v := range agreed {
			c.Lines = append(c.Lines, v.Log)
		}
		for _, v := range agreed {
			c.Lines = append(c.Lines, v.Cosigner)
		}
		tx.Set([]byte(checkpointPrefix+i.Tree), mustEncode(c))
	}
	tx.Set([]byte(intentRecord), mustEncode(i))
	return nil
}

func (i *intent) agreeing(root, effects [32]byte) (agreed []vote) {
	for _, v := range i.Signed {
		if v.Root == root && v.Effects == effects {
			agreed = append(agreed, v)
		}
	}
	return agreed
}

// diverged is the error that stops this node: it is the one whose state is another.
func (i *intent) diverged(tx cluster.Tx, s *signed, agreed []vote) error {
	c, _, err := readRecord[checkpoint](tx, checkpointPrefix+i.Tree)
	if err != nil {
		return err
	}
	names := make([]string, len(agreed))
	for n, v := range agreed {
		names[n] = v.Node
	}
	what := fmt.Sprintf("root %x, and %x here", s.Root, i.Root)
	if s.Root == i.Root {
		what = fmt.Sprintf("the same root and another state, %x, and %x here", s.Effects, i.Effects)
	}
	return fmt.Errorf("this node's state differs from the cluster's: at size %d of the log's tree %s, %s have %s; they agreed at "+
		"size %d. The state of this node was changed or damaged: remove the node, and let a new one join",
		i.Size, i.Tree, strings.Join(names, ", "), what, c.Size)
}

func (w *witnessed) apply(tx cluster.Tx, info clusterInfo) error {
	c, known, err := readRecord[checkpoint](tx, checkpointPrefix+w.Tree)
	if err != nil || !known || c.Size != w.Size {
		return err
	}
	witnesses, _, err := readRecord[[]audit.Witness](tx, witnessesRecord)
	if err != nil || !slices.ContainsFunc(witnesses, func(a audit.Witness) bool { return a.VKey == w.VKey }) {
		return err
	}
	text := audit.CheckpointText(audit.Origin(info.TrustDomain, w.Tree), c.Size, c.Root)
	if len(w.Line) > maxWitnessLine || audit.CheckLine(text, w.Line, w.VKey) != nil {
		return nil
	}
	c.Witnesses = slices.DeleteFunc(c.Witnesses, func(x cosigned) bool { return x.VKey == w.VKey })
	c.Witnesses = append(c.Witnesses, cosigned{VKey: w.VKey, Line: w.Line})
	tx.Set([]byte(checkpointPrefix+w.Tree), mustEncode(c))
	return nil
}

// begin ends the tree with an entry, begins the next with one that names the old one's head, and makes that head the
// intent: the old tree's last checkpoint comes before the new one's first.
func (c *logCommand) begin(tx cluster.Tx, info clusterInfo) (cluster.Applied, error) {
	name, head := c.Begin.Tree, tx.LogHead()
	old, _, err := readRecord[intent](tx, intentRecord)
	if err != nil {
		return cluster.Applied{}, err
	}
	if name <= head.Tree || !old.Published && old.Tree != "" && old.Tree != head.Tree {
		return cluster.Applied{}, nil
	}
	first := &audit.Entry{Time: int64(c.Time), Operation: opBeginTree, Subject: name, Outcome: account.Done.String(), Node: c.Node}
	last := *first
	last.Operation = opEndTree
	var ended audit.Head
	return cluster.Applied{
		Entries: []*audit.Entry{&last, first},
		NewTree: &cluster.NewTree{Name: name, At: 1, Closed: func(h audit.Head) {
			ended = h
			first.Detail = audit.CheckpointText(audit.Origin(info.TrustDomain, h.Tree), h.Size, h.Root)
		}},
		Finish: func(int64) []byte {
			tx.Set([]byte(intentRecord), mustEncode(intent{
				Tree: ended.Tree, Size: ended.Size, Root: ended.Root, Effects: head.Effects, Time: max(c.Time, old.Time),
			}))
			return nil
		},
	}, nil
}

// Operations about the log itself, as its entries name them. They are signed: never change one.
const (
	opBeginTree = "begin-tree"
	opEndTree   = "end-tree"
)

// text is the checkpoint as it is signed, and note with its signatures, as C2SP tlog-checkpoint has it.
func (c *checkpoint) text(trustDomain string) string {
	return audit.CheckpointText(audit.Origin(trustDomain, c.Tree), c.Size, c.Root)
}

func (c *checkpoint) note(trustDomain string) []byte {
	lines := slices.Clone(c.Lines)
	for _, w := range c.Witnesses {
		lines = append(lines, w.Line)
	}
	return audit.Checkpoint(c.text(trustDomain), lines...)
}
