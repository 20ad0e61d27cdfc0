package cluster

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"strongroom.internal/appliance/audit"
)

// verifier is a machine that writes and logs what a verification does, in size.
type verifier struct{}

func (verifier) Apply(tx Tx, command []byte) (Applied, error) {
	value, err := tx.Get(command[:16])
	if err != nil {
		return Applied{}, err
	}
	_ = value
	return Applied{
		Entries: []*audit.Entry{{
			Time: 1767225600000, Tenant: "acme", Account: "9f86d081884c7d659a2feaa0c55ad015", Actor: "spiffe://strongroom.example/tenant/acme/frontend/web",
			Request: "0b51a5f1d0d04c5c9c1d3b8f2a6e7c44", Operation: "verify", Key: "4bq4ifqi7dx3oav2", KeyVersion: 1, MACs: 3, Outcome: "accepted",
			Node: "n1", Module: "fb4e5e328dcb2f5c",
		}},
		Finish: func(int64) []byte { tx.Set(command[:16], command); return command[:1] },
	}, nil
}

// What one command costs in the state machine, its log entry included; -tags nolog leaves that out.
func BenchmarkApply(b *testing.B) {
	cfg := Config{TrustDomain: "d.test", Machine: verifier{}, CacheBytes: 64 << 20}.withDefaults()
	f, err := openFSM(&cfg, b.TempDir(), func(err error) { b.Fatal(err) })
	if err != nil {
		b.Fatal(err)
	}
	defer f.close(false)
	const batch = 64
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		var all [][]byte
		for i := range batch {
			c := make([]byte, 450)
			copy(c, fmt.Sprintf("%016d", (n*7919+uint64(i)*13)%20000))
			all = append(all, c)
		}
		n++
		f.ApplyBatch([]*raft.Log{{Index: n, Term: 1, Type: raft.LogCommand, Data: appendBatch(nil, all)}})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*batch), "ns/command")
}
