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

// LogHead is where the key-usage log stands.
type LogHead struct {
	Size   int64  `json:"size" doc:"Entries in all trees."`
	Tree   string `json:"tree" doc:"The tree that grows."`
	Root   []byte `json:"root" doc:"Its RFC 6962 Merkle tree hash."`
	Signed int64  `json:"signed" doc:"Entries in all trees up to which a checkpoint counts."`
}

// LogEntries is a piece of the log.
type LogEntries struct {
	From    int64    `json:"from" doc:"Index of the first entry."`
	Entries [][]byte `json:"entries" nullable:"false" doc:"The exact bytes that were hashed: base64 of one JSON object each."`
}

// LogFound is an entry that a search found.
type LogFound struct {
	Index    int64  `json:"index" doc:"In the whole log."`
	Tree     string `json:"tree" example:"2026"`
	Position int64  `json:"position" doc:"In its tree."`
	Entry    []byte `json:"entry" doc:"The exact bytes that were hashed: base64 of one JSON object."`
}

// LogPage is what a search found before its limit, or before it had looked at as much as one request may cost. It can be
// empty and still not be the last one.
type LogPage struct {
	Entries []LogFound `json:"entries" nullable:"false"`
	Cursor  string     `json:"cursor,omitempty" doc:"Where the search goes on. Absent at its end."`
	Account string     `json:"account,omitempty" doc:"Pseudonym of the account that was asked for by name."`
}

// LogRetention is the written policy without which nothing of the log is pruned.
type LogRetention struct {
	KeepDays int `json:"keep_days" doc:"For how many days nodes keep an entry at least; 0: for ever." minimum:"0" maximum:"36525"`
}

// LogWitness is a cosigner of checkpoints that others run (C2SP tlog-witness).
type LogWitness struct {
	VKey string `json:"vkey" doc:"Its key, as C2SP signed-note writes it." minLength:"1" maxLength:"512"`
	URL  string `json:"url" doc:"Its submission prefix." minLength:"1" maxLength:"512" example:"https://witness.example/"`
}

// LogWitnesses are all of them.
type LogWitnesses struct {
	Witnesses []LogWitness `json:"witnesses" nullable:"false" maxItems:"16"`
}

// LogArchive is an operator's word that entries of a tree are in an archive.
type LogArchive struct {
	Tree  string `json:"tree" minLength:"1" maxLength:"64" example:"2026"`
	Size  int64  `json:"size" doc:"All entries at positions below it are archived." minimum:"1"`
	Root  []byte `json:"root" doc:"RFC 6962 Merkle tree hash of the archived entries. Another root than the log's own is refused." maxLength:"64"`
	Where string `json:"where,omitempty" doc:"For people." maxLength:"256"`
}

// LogPruning ends the keeping of a tree's entries.
type LogPruning struct {
	Tree     string `json:"tree" minLength:"1" maxLength:"64" example:"2026"`
	Position int64  `json:"position" doc:"Entries below it go, by whole bundles of 256." minimum:"1"`
}
