package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/spf13/cobra"

	"strongroom.internal/api/wire"
)

//go:embed policy.example.toml
var policyExample string

// maxPolicyFile bounds what is read: a policy of every member at its longest has a few kilobytes.
const maxPolicyFile = 64 << 10

func newPolicyApply(t *terminal, o *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "apply TENANT FILE",
		Short: "Replace a tenant's policy by a file (TOML); what is left out takes its default",
		Long: `Replaces the whole policy. Start from the commented example:

  strongroom policy example > acme.toml`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := readPolicyFile(args[1])
			if err != nil {
				return err
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			if err := cluster.SetPolicy(ctx, args[0], p); err != nil {
				return err
			}
			return t.printPolicy(p)
		},
	}
}

func newPolicyExample(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a commented policy to start from",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(t.out, policyExample)
			return err
		},
	}
}

func readPolicyFile(path string) (wire.Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return wire.Policy{}, fmt.Errorf("reading the policy: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
	if err == nil && len(b) > maxPolicyFile {
		err = errors.New("the file is larger than 64 KiB")
	}
	if err != nil {
		return wire.Policy{}, fmt.Errorf("reading the policy: %w", err)
	}
	p, err := parsePolicy(b)
	if err != nil {
		return wire.Policy{}, fmt.Errorf("reading the policy %s: %w", path, err)
	}
	return p, nil
}

// parsePolicy reads the API's members, written as TOML. Bounds are the server's to check.
func parsePolicy(b []byte) (p wire.Policy, err error) {
	members, err := toml.Parser().Unmarshal(b)
	if err != nil {
		return p, err
	}
	encoded, err := json.Marshal(members)
	if err != nil {
		return p, err
	}
	d := json.NewDecoder(bytes.NewReader(encoded))
	d.DisallowUnknownFields()
	return p, d.Decode(&p)
}
