package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/fxamacker/cbor/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/hsm"
)

func (a *API) registerMembership(h huma.API) {
	huma.Register(h, operation("POST /v1/clients", "issue-certificate", "cluster", "Issue a client certificate",
		"The cluster's authority signs it in the hardware. There is no revocation list: it ends with its lifetime.", http.StatusCreated),
		a.issueCertificate)

	huma.Register(h, operation("POST /v1/join-tokens", "create-join-token", "cluster", "Make a token that lets one node join once",
		"Whoever holds it can bring the wrapping key into a module of theirs: pass it on like a key.", http.StatusCreated),
		func(ctx context.Context, in *struct{ Body wire.JoinTokenRequest }) (*struct{ Body wire.JoinToken }, error) {
			t, err := a.service.CreateJoinToken(ctx, exchangeOf(ctx).caller, time.Duration(in.Body.Lifetime)*time.Second)
			if err != nil {
				return nil, failed(ctx, err)
			}
			defer t.Token.Destroy()
			return &struct{ Body wire.JoinToken }{wire.JoinToken{
				Token: wire.NewSecret(string(t.Token.Reveal())), Expires: t.Expires.UTC(),
			}}, nil
		})

	huma.Register(h, operation("POST /v1/join", "join", "cluster", "Join the cluster", "For nodes: strongroom join does it.", http.StatusCreated),
		func(ctx context.Context, in *struct{ Body wire.JoinRequest }) (*struct{ Body wire.JoinResponse }, error) {
			r := joinRequest(in.Body)
			defer r.Token.Destroy()
			joined, err := a.service.Join(ctx, r)
			if err != nil {
				return nil, failed(ctx, err)
			}
			keys, err := cbor.Marshal(joined.Keys)
			if err != nil {
				return nil, failed(ctx, err)
			}
			return &struct{ Body wire.JoinResponse }{wire.JoinResponse{
				ClusterID: joined.ClusterID, TrustDomain: joined.TrustDomain, Certificate: string(joined.Certificate),
				Authority: string(joined.Authority), Keys: keys,
			}}, nil
		})

	huma.Register(h, operation("DELETE /v1/nodes/{id}", "remove-node", "cluster", "Remove a node from the cluster",
		"Repeating it is harmless.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			ID string `path:"id" maxLength:"64" example:"n3"`
		},
		) (*empty, error) {
			if err := a.service.RemoveNode(ctx, exchangeOf(ctx).caller, in.ID); err != nil {
				return nil, failed(ctx, err)
			}
			return nil, nil
		})
}

func (a *API) issueCertificate(ctx context.Context, in *struct{ Body wire.CertificateRequest }) (*struct{ Body wire.IssuedCertificate }, error) {
	r := in.Body
	issued, err := a.service.IssueCertificate(ctx, exchangeOf(ctx).caller, appliance.CertificateRequest{
		PublicKey: r.PublicKey, Role: appliance.ParseRole(r.Role), Tenant: r.Tenant, Name: r.Name,
		Lifetime: time.Duration(r.Lifetime) * time.Second,
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.IssuedCertificate }{wire.IssuedCertificate{
		Identity: issued.Identity, Certificate: string(issued.Chain), Authority: string(issued.Authority),
		NotAfter: issued.NotAfter.UTC(), Entry: issued.Entry,
	}}, nil
}

func joinRequest(r wire.JoinRequest) appliance.JoinRequest {
	return appliance.JoinRequest{
		Token: hsm.NewSecret([]byte(r.Token.Reveal())), NodeID: r.NodeID, ClusterAddr: r.ClusterAddr, APIAddr: r.APIAddr,
		IdentityKey: r.IdentityKey, LogKey: r.LogKey, TransportKey: r.TransportKey,
		ModuleSerial: r.ModuleSerial, ModuleDetails: r.ModuleDetails,
	}
}

// WireJoinRequest is the form in which a joining node sends r with the client.
func WireJoinRequest(r appliance.JoinRequest) wire.JoinRequest {
	return wire.JoinRequest{
		Token: wire.NewSecret(string(r.Token.Reveal())), NodeID: r.NodeID, ClusterAddr: r.ClusterAddr, APIAddr: r.APIAddr,
		IdentityKey: r.IdentityKey, LogKey: r.LogKey, TransportKey: r.TransportKey,
		ModuleSerial: r.ModuleSerial, ModuleDetails: r.ModuleDetails,
	}
}

// JoinResponse reads what a joining node received with the client.
func JoinResponse(w wire.JoinResponse) (appliance.JoinResponse, error) {
	r := appliance.JoinResponse{
		ClusterID: w.ClusterID, TrustDomain: w.TrustDomain, Certificate: []byte(w.Certificate), Authority: []byte(w.Authority),
	}
	if err := cbor.Unmarshal(w.Keys, &r.Keys); err != nil {
		return appliance.JoinResponse{}, &appliance.InvalidError{Field: "keys", Reason: "can't be decoded"}
	}
	return r, nil
}
