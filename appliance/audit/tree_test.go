package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// The leaves and roots of RFC 6962's reference implementation: certificate-transparency,
// cpp/merkletree/merkle_tree_test.cc (and transparency-dev/merkle testonly/constants.go).
var (
	rfc6962Leaves = []string{
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
	}
	rfc6962Roots = []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", // of the empty tree
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
)

func TestTreeRFC6962Vectors(t *testing.T) {
	var tree Tree
	for i, want := range rfc6962Roots {
		if root := tree.Root(); hex.EncodeToString(root[:]) != want || tree.Size() != int64(i) {
			t.Errorf("size %d: root %x, want %s", tree.Size(), root, want)
		}
		if i < len(rfc6962Leaves) {
			leaf, err := hex.DecodeString(rfc6962Leaves[i])
			if err != nil {
				t.Fatal(err)
			}
			tree.Append(leaf)
		}
	}
}

// storedTree keeps all hashes of a tree for golang.org/x/mod/sumdb/tlog.
type storedTree struct {
	hashes []tlog.Hash
}

func (s *storedTree) ReadHashes(at []int64) ([]tlog.Hash, error) {
	var hs []tlog.Hash
	for _, i := range at {
		hs = append(hs, s.hashes[i])
	}
	return hs, nil
}

func TestTreeAgreesWithTlog(t *testing.T) {
	r := rand.New(rand.NewPCG(6962, 1))
	var tree Tree
	var stored storedTree
	for n := range int64(3000) {
		leaf := make([]byte, r.IntN(300))
		for i := range leaf {
			leaf[i] = byte(r.Uint32())
		}
		tree.Append(leaf)
		hs, err := tlog.StoredHashes(n, leaf, &stored)
		if err != nil {
			t.Fatal(err)
		}
		stored.hashes = append(stored.hashes, hs...)
		if n < 300 || r.IntN(50) == 0 {
			want, err := tlog.TreeHash(n+1, &stored)
			if err != nil {
				t.Fatal(err)
			}
			if tlog.Hash(tree.Root()) != want {
				t.Fatalf("size %d: root %x, tlog says %x", n+1, tree.Root(), want)
			}
			// A tree that went through its bytes goes on as the same tree.
			b, _ := tree.MarshalBinary()
			var again Tree
			if err := again.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			tree = again
		}
	}
}

// Each byte of a marshalled edge: the format, the size, one hash for each bit of the size.
func TestTreeGolden(t *testing.T) {
	var tree Tree
	tree.Append([]byte("a"))
	tree.Append([]byte("b"))
	tree.Append([]byte("c"))
	b, _ := tree.MarshalBinary()
	ha, hb := sha256.Sum256([]byte("\x00a")), sha256.Sum256([]byte("\x00b"))
	hab := sha256.Sum256(append(append([]byte{1}, ha[:]...), hb[:]...))
	hc := sha256.Sum256([]byte("\x00c"))
	want := fmt.Sprintf("01"+"0000000000000003"+"%x"+"%x", hab, hc)
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func FuzzTreeUnmarshal(f *testing.F) {
	var tree Tree
	for range 6 {
		b, _ := tree.MarshalBinary()
		f.Add(b)
		tree.Append([]byte("leaf"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var tree Tree
		if tree.UnmarshalBinary(b) != nil {
			if tree.Size() != 0 {
				t.Fatal("a refused edge was taken")
			}
			return
		}
		if again, _ := tree.MarshalBinary(); !bytes.Equal(again, b) {
			t.Fatalf("%x becomes %x", b, again)
		}
		tree.Root()
		tree.Append(nil)
	})
}

func BenchmarkTreeAppend(b *testing.B) {
	var tree Tree
	leaf := sample().AppendJSON(nil)
	for b.Loop() {
		tree.Append(leaf)
	}
}
