package wire

import "time"

// Cluster is the state of the cluster as one node sees it.
type Cluster struct {
	ClusterID  string   `json:"cluster_id"`
	Node       string   `json:"node" doc:"The node that answers."`
	Leader     string   `json:"leader,omitempty" doc:"Absent: none known."`
	Term       uint64   `json:"term"`
	Applied    uint64   `json:"applied" doc:"Index of the last command that this node applied."`
	Members    []Member `json:"members" nullable:"false"`
	LogSize    int64    `json:"log_size" doc:"Entries of the key-usage log, in all its trees."`
	LogTree    string   `json:"log_tree" doc:"The tree that grows."`
	LogRoot    []byte   `json:"log_root" doc:"Its root."`
	LogSigned  int64    `json:"log_signed" doc:"Entries, in all trees, up to which a checkpoint counts."`
	LogMissing int64    `json:"log_missing,omitempty" doc:"Entries that this node has still to fetch from others."`
	Module     Module   `json:"module"`
	ClockMS    float64  `json:"clock_offset_ms" doc:"This node's clock against its peers' median, in milliseconds."`
	Version    string   `json:"version,omitempty"`
}

// Member is one node.
type Member struct {
	ID           string `json:"id" example:"n1"`
	ClusterAddr  string `json:"cluster_addr"`
	APIAddr      string `json:"api_addr"`
	Leader       bool   `json:"leader"`
	Voter        bool   `json:"voter"`
	ModuleSerial string `json:"module_serial"`
	Module       string `json:"module"`
	LogKey       []byte `json:"log_key" doc:"Public key that cosigns checkpoints, PKIX DER."`
}

// Module is the hardware of the node that answers.
type Module struct {
	Status       string    `json:"status" enum:"starting,ready,gone,PIN refused" doc:"ready when it can compute codes."`
	Since        time.Time `json:"since,omitzero"`
	Reason       string    `json:"reason,omitempty"`
	Sessions     int       `json:"sessions" doc:"Open sessions."`
	InUse        int       `json:"sessions_in_use"`
	Waiting      int       `json:"waiting" doc:"Requests that wait for a session."`
	Resident     int       `json:"resident" doc:"Seeds that are loaded now."`
	Hits         uint64    `json:"resident_hits" doc:"MACs that found their seed loaded."`
	Misses       uint64    `json:"resident_misses" doc:"MACs that had to unseal it."`
	Evictions    uint64    `json:"resident_evictions"`
	Recoveries   uint64    `json:"recoveries" doc:"How often the module came back."`
	Kind         string    `json:"kind,omitempty"`
	Manufacturer string    `json:"manufacturer,omitempty"`
	Model        string    `json:"model,omitempty"`
	Serial       string    `json:"serial,omitempty"`
	Firmware     string    `json:"firmware,omitempty"`
	Label        string    `json:"label,omitempty"`
}

// CertificateRequest asks the cluster's authority for a client certificate.
type CertificateRequest struct {
	PublicKey []byte `json:"public_key" doc:"P-256 or Ed25519 public key, PKIX DER." maxLength:"1024"`
	Role      string `json:"role" enum:"frontend,helpdesk,operator,auditor"`
	Tenant    string `json:"tenant,omitempty" doc:"With the roles frontend and helpdesk." maxLength:"64"`
	Name      string `json:"name" doc:"Last part of the SPIFFE ID." minLength:"1" maxLength:"64" example:"web-1"`
	Lifetime  int64  `json:"lifetime_seconds,omitempty" doc:"Default 90 days." minimum:"0" maximum:"31622400"`
}

// IssuedCertificate is the answer.
type IssuedCertificate struct {
	Identity    string    `json:"identity" example:"spiffe://strongroom.example/tenant/acme/frontend/web-1"`
	Certificate string    `json:"certificate" doc:"PEM chain, leaf first."`
	Authority   string    `json:"authority" doc:"The cluster's root, PEM."`
	NotAfter    time.Time `json:"not_after"`
	Entry       int64     `json:"entry"`
}

// JoinTokenRequest asks for a token that lets one node join once.
type JoinTokenRequest struct {
	Lifetime int64 `json:"lifetime_seconds,omitempty" doc:"Default one hour." minimum:"0" maximum:"86400"`
}

// JoinToken is the answer.
type JoinToken struct {
	Token   Secret    `json:"token" doc:"For strongroom join; it names the cluster's authority by hash."`
	Expires time.Time `json:"expires"`
}

func (t JoinToken) reveal() any {
	return struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	}{t.Token.Reveal(), t.Expires}
}

// JoinRequest is what a joining node shows.
type JoinRequest struct {
	Token         Secret `json:"token" minLength:"1" maxLength:"256"`
	NodeID        string `json:"node_id" minLength:"1" maxLength:"64" example:"n2"`
	ClusterAddr   string `json:"cluster_addr" doc:"host:port of its Raft listener." minLength:"1" maxLength:"256"`
	APIAddr       string `json:"api_addr" doc:"host:port of its API listener." minLength:"1" maxLength:"256"`
	IdentityKey   []byte `json:"identity_key" doc:"PKIX DER." maxLength:"2048"`
	LogKey        []byte `json:"log_key" doc:"PKIX DER." maxLength:"2048"`
	TransportKey  []byte `json:"transport_key" doc:"PKIX DER, RSA." maxLength:"2048"`
	ModuleSerial  string `json:"module_serial" maxLength:"64"`
	ModuleDetails string `json:"module_details" doc:"Manufacturer, model and firmware." maxLength:"256"`
}

func (r JoinRequest) reveal() any {
	type plain JoinRequest
	return struct {
		Token string `json:"token"`
		plain
	}{r.Token.Reveal(), plain(r)}
}

// JoinResponse lets it in.
type JoinResponse struct {
	ClusterID   string `json:"cluster_id"`
	TrustDomain string `json:"trust_domain"`
	Certificate string `json:"certificate" doc:"PEM chain of the new node."`
	Authority   string `json:"authority" doc:"PEM."`
	Keys        []byte `json:"keys" doc:"The wrapping keys under the transport key, CBOR."`
}

// Readiness says whether a node can answer a verification now.
type Readiness struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks,omitempty" nullable:"false" doc:"Only for callers with a certificate."`
}

// Check is one line of readiness.
type Check struct {
	Name  string `json:"name" example:"module"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}
