package appliance

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

// A join token is tokenScheme, then base64url of SHA-256 over the authority's certificate and of 16 random bytes. The
// hash lets the joiner know whom it talks to before it shows the rest.
const (
	tokenScheme     = "srjoin1_"
	tokenSecretSize = 16

	defaultTokenLifetime = time.Hour
	maxTokenLifetime     = 24 * time.Hour
)

// CreateJoinToken lets one node join once. A token stands where the approval ceremony will: whoever holds one can bring
// the wrapping key into a module of theirs, so it is short-lived, and every step is in the log.
func (s *Service) CreateJoinToken(ctx context.Context, c Caller, lifetime time.Duration) (JoinToken, error) {
	info := s.estate.Load()
	if info == nil {
		return JoinToken{}, s.usable()
	}
	if lifetime == 0 {
		lifetime = defaultTokenLifetime
	}
	if lifetime < time.Minute || lifetime > maxTokenLifetime {
		return JoinToken{}, &InvalidError{Field: "lifetime", Reason: "must be from one minute to 24 hours"}
	}
	pin := sha256.Sum256(info.Authority)
	raw := append(make([]byte, 0, sha256.Size+tokenSecretSize), pin[:]...)
	raw = raw[:cap(raw)]
	if _, err := io.ReadFull(s.rand, raw[sha256.Size:]); err != nil {
		return JoinToken{}, fmt.Errorf("drawing a join token: %w", err)
	}
	expires := s.now().Add(lifetime)
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, AddToken: &addToken{
		Hash: sha256.Sum256(raw[sha256.Size:]), Expires: account.Time(expires.UnixMilli()),
	}})
	if err != nil {
		return JoinToken{}, err
	}
	if err := refusal(result.Outcome); err != nil {
		return JoinToken{}, err
	}
	text := base64.RawURLEncoding.AppendEncode([]byte(tokenScheme), raw)
	clear(raw)
	return JoinToken{Token: hsm.NewSecret(text), Expires: expires.UTC()}, nil
}

// ParseJoinToken splits a token into the SHA-256 of the authority's certificate and the secret.
func ParseJoinToken(t *hsm.Secret) (authority [sha256.Size]byte, secret *hsm.Secret, err error) {
	invalid := &InvalidError{Field: "token", Reason: "is not a join token; make one with `strongroom token create`"}
	encoded, ok := strings.CutPrefix(strings.TrimSpace(string(t.Reveal())), tokenScheme)
	if !ok {
		return authority, nil, invalid
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != sha256.Size+tokenSecretSize {
		return authority, nil, invalid
	}
	copy(authority[:], raw)
	return authority, hsm.NewSecret(raw[sha256.Size:]), nil
}

// Join lets a node in that holds a token: the security officer marks its transport key trusted, the wrapping key is
// wrapped to it, its certificate is signed, and the token is spent with the same command that makes it a member. The
// answer leaves only after that; the leader adds the member to Raft when it is reachable.
//
// The approval ceremony's door is the call of s.trust: nothing before it needs the hardware, nothing after it asks.
func (s *Service) Join(ctx context.Context, r JoinRequest) (JoinResponse, error) {
	info := s.estate.Load()
	if info == nil {
		return JoinResponse{}, s.usable()
	}
	identityKey, err := r.validate()
	if err != nil {
		return JoinResponse{}, err
	}
	_, secret, err := ParseJoinToken(r.Token)
	if err != nil {
		return JoinResponse{}, err
	}
	hash := sha256.Sum256(secret.Reveal())
	secret.Destroy()
	if err := s.checkToken(ctx, hash, r.NodeID); err != nil {
		if errors.Is(err, ErrToken) {
			s.refusals.note("", subjectJoin, account.NotFound)
		}
		return JoinResponse{}, err
	}
	if s.trust == nil {
		return JoinResponse{}, fmt.Errorf(
			"this node has no security officer's PIN (module.so_pin_file); ask a node that has: %w", ErrUnavailable)
	}
	keys, err := s.wrapTo(ctx, r.TransportKey)
	if err != nil {
		return JoinResponse{}, err
	}
	chain, err := s.certify(ctx, hsm.KeyAuthority, info.Authority,
		nodeTemplate(info.TrustDomain, r.NodeID, s.now(), r.ClusterAddr, r.APIAddr), identityKey)
	if err != nil {
		return JoinResponse{}, err
	}
	result, _, err := s.proposeEstate(ctx, estate{
		Actor: spiffe(info.TrustDomain, Node.String(), r.NodeID).String(),
		Admit: &admit{Token: hash, Member: member{
			ID: r.NodeID, ClusterAddr: r.ClusterAddr, APIAddr: r.APIAddr, IdentityKey: r.IdentityKey, LogKey: r.LogKey,
			Serial: r.ModuleSerial, Module: r.ModuleDetails,
		}},
	})
	if err != nil {
		return JoinResponse{}, err
	}
	switch result.Outcome {
	case account.Done:
	case account.Exists:
		return JoinResponse{}, fmt.Errorf("node id %s: %w", r.NodeID, ErrExists)
	default:
		return JoinResponse{}, ErrToken
	}
	return JoinResponse{
		ClusterID: info.ID, TrustDomain: info.TrustDomain, Certificate: pemCertificate(chain),
		Authority: pemCertificate(info.Authority), Keys: keys,
	}, nil
}

// wrapTo has the security officer mark a transport key trusted, and the module wrap the cluster's keys to it. The officer
// clears away what an interrupted join left, so two joins must not meet here.
func (s *Service) wrapTo(ctx context.Context, transportKey []byte) (hsm.KeyPackage, error) {
	s.joining.Lock()
	defer s.joining.Unlock()
	if err := s.trust(ctx, transportKey); err != nil {
		return hsm.KeyPackage{}, moduleError("marking the transport key trusted", err)
	}
	keys, err := s.pool.ExportTo(ctx, transportKey)
	if err != nil {
		return hsm.KeyPackage{}, moduleError("wrapping the keys to the new node", err)
	}
	return keys, nil
}

// checkToken refuses before the hardware is asked; the core checks again when it spends the token.
func (s *Service) checkToken(ctx context.Context, hash [sha256.Size]byte, id string) error {
	if err := s.engine.Sync(ctx); err != nil {
		return engineError(err)
	}
	return s.engine.View(func(r cluster.Reader) error {
		t, known, err := readRecord[token](r, string(tokenKey(hash)))
		if err != nil {
			return err
		}
		if !known || account.Time(s.now().UnixMilli()) > t.Expires {
			return ErrToken
		}
		m, known, err := readRecord[member](r, memberPrefix+id)
		if err != nil {
			return err
		}
		if known && (m.Joined || m.Retired) {
			return fmt.Errorf("node id %s: %w", id, ErrExists)
		}
		return nil
	})
}

func (r *JoinRequest) validate() (identity any, err error) {
	if !validNodeID(r.NodeID) {
		return nil, &InvalidError{Field: "node_id", Reason: nodeIDRule}
	}
	for field, address := range map[string]string{"cluster_addr": r.ClusterAddr, "api_addr": r.APIAddr} {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" || len(address) > 256 {
			return nil, &InvalidError{Field: field, Reason: "must be host:port"}
		}
	}
	if len(r.ModuleSerial) > 64 || len(r.ModuleDetails) > 256 {
		return nil, &InvalidError{Field: "module_details", Reason: "must be at most 256 bytes, the serial at most 64"}
	}
	for field, der := range map[string][]byte{"log_key": r.LogKey, "transport_key": r.TransportKey} {
		if _, err := x509.ParsePKIXPublicKey(der); err != nil || len(der) > 1024 {
			return nil, &InvalidError{Field: field, Reason: "must be a public key as PKIX DER"}
		}
	}
	if identity, err = x509.ParsePKIXPublicKey(r.IdentityKey); err != nil || len(r.IdentityKey) > 1024 {
		return nil, &InvalidError{Field: "identity_key", Reason: "must be a public key as PKIX DER"}
	}
	return identity, nil
}

// JoinConfig is what a joining node shows of itself.
type JoinConfig struct {
	Pool        *hsm.Pool
	NodeID      string
	ClusterAddr string
	APIAddr     string
	Token       *hsm.Secret
}

// PrepareJoin makes the node's own keys and the one-use transport key.
func PrepareJoin(ctx context.Context, c JoinConfig) (JoinRequest, error) {
	node, err := nodeKeys(ctx, c.Pool)
	if err != nil {
		return JoinRequest{}, err
	}
	transport, err := c.Pool.CreateTransportKey(ctx)
	if err != nil {
		return JoinRequest{}, moduleError("making the transport key", err)
	}
	info := c.Pool.Info()
	r := JoinRequest{
		Token: c.Token, NodeID: c.NodeID, ClusterAddr: c.ClusterAddr, APIAddr: c.APIAddr, IdentityKey: node.identityDER,
		LogKey: node.logDER, TransportKey: transport, ModuleSerial: info.Serial, ModuleDetails: moduleDetails(info),
	}
	_, err = r.validate()
	return r, err
}

// FinishJoin takes the keys in, which destroys the transport key, and gives the node its identity.
func FinishJoin(ctx context.Context, pool *hsm.Pool, r JoinResponse) (Identity, error) {
	id, err := nodeIDOf(r.Certificate)
	if err != nil {
		return Identity{}, err
	}
	if err := pool.ImportFrom(ctx, r.Keys); err != nil {
		return Identity{}, moduleError("taking in the wrapping key", err)
	}
	return Identity{
		ClusterID: r.ClusterID, NodeID: id, TrustDomain: r.TrustDomain, Chain: r.Certificate, Authority: r.Authority,
	}, nil
}

func nodeIDOf(chain []byte) (string, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return "", errors.New("reading the node's certificate: not PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("reading the node's certificate: %w", err)
	}
	if len(leaf.URIs) != 1 {
		return "", errors.New("reading the node's certificate: it must have one SPIFFE ID")
	}
	return strings.TrimPrefix((*url.URL)(leaf.URIs[0]).Path, "/node/"), nil
}
