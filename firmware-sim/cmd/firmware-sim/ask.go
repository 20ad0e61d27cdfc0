package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	firmwaresim "strongroom.internal/firmware-sim"
)

// ask asks the program that holds the rack.
func ask(ctx context.Context, dir, method, path string, into any) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, socketName))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://rack"+path, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("the rack in %s is not up; `make run` or `firmware-sim up` powers it up", dir)
	}
	if err != nil {
		return fmt.Errorf("asking the rack: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("asking the rack: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(string(body))
	}
	return json.Unmarshal(body, into)
}

func newStatus(dir *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show all chassis",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s rackStatus
			if err := ask(c.Context(), *dir, http.MethodGet, "/status", &s); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(s)
			}
			return table(c.OutOrStdout(), s)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func table(to io.Writer, s rackStatus) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tPOWER\tTOKEN\tREADY\tROLE\tAPI\tPID")
	for _, c := range s.Chassis {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Power, pick(c.TokenIn, "in", "pulled"), readiness(c),
			pick(c.ID == s.Leader, "leader", "-"), c.API, pick(c.PID != 0, fmt.Sprint(c.PID), "-"))
	}
	return w.Flush()
}

func readiness(c firmwaresim.Status) string {
	switch {
	case c.Ready:
		return "yes"
	case c.Reason != "":
		return c.Reason
	case !c.Member:
		return "in no cluster"
	default:
		return "no"
	}
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

func newLeader(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "leader",
		Short: "Print the id of the node that leads; wait for an election",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var id string
			if err := ask(c.Context(), *dir, http.MethodGet, "/leader", &id); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), id)
			return nil
		},
	}
}

func newVerb(dir *string, v verb) *cobra.Command {
	return &cobra.Command{
		Use:   v.name + " N",
		Short: v.short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var s firmwaresim.Status
			if err := ask(c.Context(), *dir, http.MethodPost, "/chassis/"+url.PathEscape(args[0])+"/"+v.name, &s); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "firmware-sim: %s is %s, its token is %s\n", s.ID, s.Power, pick(s.TokenIn, "in", "pulled"))
			return nil
		},
	}
}
