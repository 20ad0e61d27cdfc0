package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"strongroom.internal/cmd/strongroom/internal/config"
)

// nodeHealth is one node's readiness.
type nodeHealth struct {
	Node    string `json:"node"`
	Ready   bool   `json:"ready"`
	Problem string `json:"problem,omitempty"`
}

func newHealth(t *terminal) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "health",
		Short: "Say whether nodes can verify codes now",
		Long: `With --config it asks the node of that configuration on api.metrics_listen, which needs no certificate: for a health
check on the machine itself. Without, it asks each of --nodes. Exit code 3: one is not ready.`,
		Args: cobra.NoArgs,
	}
	o := connectionFlags(c)
	c.Flags().StringVar(&path, "config", "", "configuration of the node on this machine")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
		defer cancel()
		var all []nodeHealth
		var err error
		if path != "" {
			all, err = localHealth(ctx, path)
		} else {
			all, err = o.health(ctx)
		}
		if err != nil {
			return err
		}
		if err := t.print(all, func(w io.Writer) {
			for _, n := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", n.Node, map[bool]string{true: "ready", false: "not ready"}[n.Ready], n.Problem)
			}
		}); err != nil {
			return err
		}
		for _, n := range all {
			if !n.Ready {
				return &exitError{exitNoQuorum, errors.New("not every node is ready")}
			}
		}
		return nil
	}
	return c
}

// localHealth asks in clear on the machine itself.
func localHealth(ctx context.Context, path string) ([]nodeHealth, error) {
	cfg, err := config.Read(path)
	if err != nil {
		return nil, err
	}
	if cfg.API.MetricsListen == "" {
		return nil, errors.New("api.metrics_listen: is needed for this; or give --nodes and --credentials")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.API.MetricsListen+"/readyz", nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", cfg.API.MetricsListen, err)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return []nodeHealth{{Node: cfg.Node.ID, Problem: err.Error()}}, nil
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", cfg.API.MetricsListen, err)
	}
	n := nodeHealth{Node: cfg.Node.ID, Ready: answer.StatusCode == http.StatusOK}
	if !n.Ready {
		n.Problem = strings.TrimPrefix(strings.TrimSpace(string(said)), "not ready: ")
	}
	return []nodeHealth{n}, nil
}

func (o *connection) health(ctx context.Context) ([]nodeHealth, error) {
	nodes, config, err := o.resolve()
	if err != nil {
		return nil, err
	}
	all := make([]nodeHealth, len(nodes))
	for i, address := range nodes {
		all[i].Node = address
		one, cancel := context.WithTimeout(ctx, askTimeout)
		ready, err := askReady(one, address, config)
		cancel()
		if err != nil {
			all[i].Problem = err.Error()
			continue
		}
		all[i].Ready = ready.Ready
		var problems []string
		for _, c := range ready.Checks {
			if !c.OK {
				problems = append(problems, c.Name+": "+c.Error)
			}
		}
		all[i].Problem = strings.Join(problems, "; ")
	}
	return all, nil
}
