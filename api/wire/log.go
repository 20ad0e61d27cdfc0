package wire

// LogTree is one tree of the key-usage log.
type LogTree struct {
	Name    string `json:"name" example:"2026"`
	Origin  string `json:"origin" doc:"Of its checkpoints." example:"strongroom.example/log/2026"`
	First   int64  `json:"first" doc:"Index of its first entry in the whole log; the entry at a position has index first + position."`
	Size    int64  `json:"size" doc:"Number of its entries."`
	Root    []byte `json:"root" doc:"RFC 6962 Merkle tree hash of that size."`
	Closed  bool   `json:"closed" doc:"Another tree has followed; this one grows no more."`
	Minimum int64  `json:"minimum" doc:"Position below which entries are pruned; 0 when none are."`
	Signed  int64  `json:"signed" doc:"Size of its newest checkpoint; 0 while it has none."`
}

// LogTrees are all trees of the log, oldest first.
type LogTrees struct {
	Trees []LogTree `json:"trees" nullable:"false"`
}
