package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"strongroom.internal/appliance"
	"strongroom.internal/cluster"
	"strongroom.internal/cmd/strongroom/internal/config"
	"strongroom.internal/hsm"
)

// initTimeout bounds each step of init that waits for the engine.
const initTimeout = 60 * time.Second

// initOptions are what init is told.
type initOptions struct {
	trustDomain  string
	operatorOut  string
	operatorName string
}

// founded is what init says at the end.
type founded struct {
	ClusterID   string `json:"cluster_id"`
	Node        string `json:"node"`
	TrustDomain string `json:"trust_domain"`
	Operator    string `json:"operator"`
	Credentials string `json:"credentials"`
}

func newInit(t *terminal) *cobra.Command {
	var path string
	var o initOptions
	c := &cobra.Command{
		Use:   "init --trust-domain DOMAIN --operator-out DIR",
		Short: "Found a new cluster on this node",
		Long: `Makes the cluster's keys in this node's module, starts the key-usage log, and issues the first operator's certificate,
whose key is made here and kept in --operator-out, readable by its owner only.

It refuses a data directory or a module that belongs to a cluster. Interrupted, it goes on where it was when it is run
again. Then start the node with ` + "`strongroom serve`" + `.`,
		Example: "  strongroom init --config n1.toml --trust-domain strongroom.example --operator-out ~/.config/strongroom/operator",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			if err := harden(); err != nil {
				t.say("this process could not be hardened: %v", err)
			}
			result, err := initCluster(c.Context(), cfg, commandLogger(cfg, t.err), o, t.say)
			if err != nil {
				return err
			}
			return t.print(result, func(w io.Writer) {
				fmt.Fprintf(w, "cluster\t%s\ntrust domain\t%s\nnode\t%s\noperator\t%s\ncredentials\t%s\n", result.ClusterID,
					result.TrustDomain, result.Node, result.Operator, result.Credentials)
			})
		},
	}
	configFlag(c, &path)
	c.Flags().StringVar(&o.trustDomain, "trust-domain", "", "names the cluster in every certificate, such as strongroom.example; it can't be changed")
	c.Flags().StringVar(&o.operatorOut, "operator-out", "", "directory for the first operator's credentials")
	c.Flags().StringVar(&o.operatorName, "operator-name", "admin", "name of the first operator")
	_ = c.MarkFlagRequired("trust-domain")
	_ = c.MarkFlagRequired("operator-out")
	_ = c.MarkFlagDirname("operator-out")
	return c
}

// initCluster founds a cluster. Crash points: before the founding file is on disk, the module holds keys that nobody
// knows, and the token has to be initialised again; from then on every step can be repeated, and the file goes when all
// of them are done.
func initCluster(
	ctx context.Context, cfg *config.Config, log hclog.Logger, o initOptions, progress func(string, ...any),
) (result founded, err error) {
	dir := cfg.Node.DataDir
	unlock, err := lockDataDir(dir)
	if err != nil {
		return founded{}, err
	}
	defer unlock()
	birth, err := readFounding(dir)
	if err != nil {
		return founded{}, err
	}
	if birth == nil {
		if err := checkUnused(dir); err != nil {
			return founded{}, err
		}
	} else if o.trustDomain != birth.Identity.TrustDomain {
		return founded{}, fmt.Errorf("init was interrupted on this node for the trust domain %s; finish it with that one",
			birth.Identity.TrustDomain)
	}
	operatorKey, err := clientKey(o.operatorOut)
	if err != nil {
		return founded{}, err
	}
	progress("opening the module")
	p := &parts{config: cfg, log: log, machine: &appliance.Machine{}}
	if p.pool, err = openModule(ctx, cfg, log); err != nil {
		return founded{}, err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, p.close(end))
	}()
	if birth == nil {
		if err := moduleUnused(ctx, p.pool); err != nil {
			return founded{}, err
		}
		progress("making the cluster's keys in the module")
		if birth, err = found(ctx, cfg, p.pool, o.trustDomain); err != nil {
			return founded{}, err
		}
	} else {
		progress("going on with an init that was interrupted")
	}
	p.id = &identity{Identity: birth.Identity, Started: true}
	if err := p.id.write(dir); err != nil {
		return founded{}, err
	}
	progress("starting the key-usage log")
	if err := p.create(ctx, birth.Command); err != nil {
		return founded{}, err
	}
	progress("issuing the certificate of operator %s", o.operatorName)
	issued, err := p.firstOperator(ctx, operatorKey, o.operatorName)
	if err != nil {
		return founded{}, err
	}
	if err := keepCredentials(o.operatorOut, issued.Chain, issued.Authority); err != nil {
		return founded{}, err
	}
	if err := removeDurably(filepath.Join(dir, foundingFile)); err != nil {
		return founded{}, fmt.Errorf("ending init: %w", err)
	}
	progress("done; start the node with `strongroom serve --config %s`", cfg.Path())
	return founded{p.id.ClusterID, p.id.NodeID, p.id.TrustDomain, issued.Identity, o.operatorOut}, nil
}

// checkUnused refuses a data directory that belongs to a node.
func checkUnused(dir string) error {
	id, err := readIdentity(dir)
	switch {
	case err == nil:
		return fmt.Errorf("%s belongs to node %s of cluster %s; nothing was done", dir, id.NodeID, id.ClusterID)
	case !errors.Is(err, errNoIdentity):
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, clusterDir)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds a node's state without its identity; nothing was done: bring back its %s, or give an empty "+
			"directory", dir, identityFile)
	}
	return nil
}

// found makes the keys and keeps at once what came of it.
func found(ctx context.Context, cfg *config.Config, pool *hsm.Pool, trustDomain string) (*founding, error) {
	id, command, err := appliance.Found(ctx, appliance.FoundConfig{
		Pool: pool, NodeID: cfg.Node.ID, TrustDomain: trustDomain, ClusterAddr: cfg.ClusterAddress(), APIAddr: cfg.APIAddress(),
	})
	if err != nil {
		return nil, fmt.Errorf("founding the cluster: %w; initialise the token again before the next init", err)
	}
	birth := &founding{1, id, command}
	if err := birth.write(cfg.Node.DataDir); err != nil {
		return nil, fmt.Errorf("keeping what was founded: %w; initialise the token again before the next init", err)
	}
	return birth, nil
}

// create opens the engine, new or from an interrupted init, and has it decide the founding if it hasn't.
func (p *parts) create(ctx context.Context, command []byte) error {
	c, err := p.engineConfig()
	if err != nil {
		return err
	}
	if p.engine, err = cluster.Create(c); errors.Is(err, cluster.ErrExists) {
		p.engine, err = cluster.Open(ctx, c)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	if err := p.engine.Sync(ctx); err != nil { // also waits for the first election
		return fmt.Errorf("waiting for the new cluster: %w", err)
	}
	heads, err := p.engine.Log().Heads()
	if err != nil || len(heads) > 1 || heads[0].Size > 0 {
		return err
	}
	if _, err := p.engine.Propose(ctx, command); err != nil {
		return fmt.Errorf("writing the cluster's first entry: %w", err)
	}
	return nil
}

// firstOperator issues the one certificate that no operator asks for. The log names the node as the one who did.
func (p *parts) firstOperator(ctx context.Context, pkix []byte, name string) (appliance.IssuedCertificate, error) {
	if err := p.newService(); err != nil {
		return appliance.IssuedCertificate{}, err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.service.Run(working) }()
	defer func() {
		stop()
		<-ended
	}()
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	me := appliance.Caller{Identity: fmt.Sprintf("spiffe://%s/node/%s", p.id.TrustDomain, p.id.NodeID), Role: appliance.Node}
	for {
		issued, err := p.service.IssueCertificate(ctx, me, appliance.CertificateRequest{
			PublicKey: pkix, Role: appliance.Operator, Name: name,
		})
		if !errors.Is(err, appliance.ErrUnavailable) {
			return issued, err
		}
		select { // upkeep installs the cluster's keys within a moment
		case <-ctx.Done():
			return appliance.IssuedCertificate{}, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
