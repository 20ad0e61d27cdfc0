package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"strongroom.internal/api"
	"strongroom.internal/api/client"
	"strongroom.internal/appliance"
	"strongroom.internal/cmd/strongroom/internal/config"
	"strongroom.internal/hsm"
)

// joinedCluster is what join says at the end.
type joinedCluster struct {
	ClusterID   string `json:"cluster_id"`
	Node        string `json:"node"`
	TrustDomain string `json:"trust_domain"`
}

func newJoin(t *terminal) *cobra.Command {
	var path, tokenFile string
	var peers []string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "join --peer https://HOST:PORT --token-file FILE",
		Short: "Join a cluster with a token from `strongroom token create`",
		Long: `Makes this node's own keys in its module, shows them with the token to a node of the cluster, and takes in the
wrapping key, sealed to this module alone. The token names the cluster by hash: nobody else is shown it.

The node that is asked must have the security officer's PIN of its own module (module.so_pin_file). Then start this node
with ` + "`strongroom serve`" + `: the cluster adds it when it listens, and gives it a vote when it has caught up.`,
		Example: "  strongroom join --config n2.toml --peer https://n1.strongroom.example:7300 --token-file token",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			if err := harden(); err != nil {
				t.say("this process could not be hardened: %v", err)
			}
			nodes, err := peerAddresses(peers)
			if err != nil {
				return usage(c, err)
			}
			token, err := t.token(tokenFile)
			if err != nil {
				return err
			}
			defer token.Destroy()
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			result, err := join(ctx, cfg, commandLogger(cfg, t.err), nodes, token, t.say)
			if err != nil {
				return err
			}
			return t.print(result, func(w io.Writer) {
				fmt.Fprintf(w, "cluster\t%s\ntrust domain\t%s\nnode\t%s\n", result.ClusterID, result.TrustDomain, result.Node)
			})
		},
	}
	configFlag(c, &path)
	c.Flags().StringSliceVar(&peers, "peer", nil, "API address of a node of the cluster; may be repeated")
	c.Flags().StringVar(&tokenFile, "token-file", "", "file with the join token, or - for stdin")
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to try")
	_ = c.MarkFlagRequired("peer")
	_ = c.MarkFlagRequired("token-file")
	return c
}

// token reads a join token from a file, or from stdin for "-".
func (t *terminal) token(path string) (*hsm.Secret, error) {
	if path == "-" {
		return t.secret("Join token")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the join token: %w", err)
	}
	defer f.Close()
	line, err := readLine(f)
	if err != nil {
		return nil, fmt.Errorf("reading the join token: %w", err)
	}
	return hsm.NewSecret(line), nil
}

// join lets this node in. Crash points: once the cluster has let the node in, its id is used up, whether the answer
// arrives or not; once the answer is taken in, the module holds the wrapping key, and takes in no other. See again and
// errModuleUsed.
func join(
	ctx context.Context, cfg *config.Config, log hclog.Logger, nodes []string, token *hsm.Secret, progress func(string, ...any),
) (result joinedCluster, err error) {
	dir := cfg.Node.DataDir
	unlock, err := lockDataDir(dir)
	if err != nil {
		return joinedCluster{}, err
	}
	defer unlock()
	if birth, err := readFounding(dir); err != nil || birth != nil {
		return joinedCluster{}, errors.Join(err, errors.New("`strongroom init` was interrupted on this node: it has a cluster of its own"))
	}
	if err := checkUnused(dir); err != nil {
		return joinedCluster{}, err
	}
	if _, _, err := appliance.ParseJoinToken(token); err != nil {
		return joinedCluster{}, err
	}
	progress("opening the module")
	pool, err := openModule(ctx, cfg, log)
	if err != nil {
		return joinedCluster{}, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if err := moduleUnused(ctx, pool); err != nil { // before a token and an id are used up
		return joinedCluster{}, err
	}
	progress("making this node's keys in the module")
	request, err := appliance.PrepareJoin(ctx, appliance.JoinConfig{
		Pool: pool, NodeID: cfg.Node.ID, ClusterAddr: cfg.ClusterAddress(), APIAddr: cfg.APIAddress(), Token: token,
	})
	if err != nil {
		return joinedCluster{}, err
	}
	progress("asking %s to let node %s in", strings.Join(nodes, ", "), cfg.Node.ID)
	answer, err := client.Join(ctx, nodes, api.WireJoinRequest(request))
	if err != nil {
		return joinedCluster{}, again(cfg.Node.ID, fmt.Errorf("joining: %w", err))
	}
	defer func() {
		if err != nil {
			err = again(cfg.Node.ID, err)
		}
	}()
	response, err := api.JoinResponse(answer)
	if err != nil {
		return joinedCluster{}, err
	}
	progress("taking in the wrapping key")
	id, err := appliance.FinishJoin(ctx, pool, response)
	if err != nil {
		return joinedCluster{}, err
	}
	if id.NodeID != cfg.Node.ID {
		return joinedCluster{}, fmt.Errorf("joining: the cluster's certificate is for node %s, not %s", id.NodeID, cfg.Node.ID)
	}
	if err := (&identity{Identity: id}).write(dir); err != nil {
		return joinedCluster{}, err
	}
	progress("done; start the node with `strongroom serve --config %s`", cfg.Path())
	return joinedCluster{id.ClusterID, id.NodeID, id.TrustDomain}, nil
}

// again adds to an error after which the cluster may have this node as a member how to try once more.
func again(id string, err error) error {
	var problem *client.Problem
	known := errors.As(err, &problem)
	if known && problem.Status != http.StatusConflict || !known && errors.Is(err, client.ErrUnavailable) {
		return err // it was not let in
	}
	return fmt.Errorf("%w\n  An id is for once: `strongroom node remove %s`, give this node another node.id, and join with a "+
		"new token", err, id)
}

// peerAddresses takes https://host:port and host:port.
func peerAddresses(peers []string) ([]string, error) {
	var nodes []string
	for _, p := range peers {
		address := p
		if strings.Contains(p, "://") {
			u, err := url.Parse(p)
			if err != nil || u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
				return nil, fmt.Errorf("%q is not https://HOST:PORT", p)
			}
			address = u.Host
		}
		nodes = append(nodes, address)
	}
	return nodes, nil
}
