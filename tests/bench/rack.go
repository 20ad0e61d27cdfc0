package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	firmwaresim "strongroom.internal/firmware-sim"
)

const benchTenant = "bench"

// bencher is a running rack with accounts whose seeds it knows.
type bencher struct {
	rack      *firmwaresim.Rack
	tls       *tls.Config
	processes cpuClocks
	accounts  []benchAccount
	unused    int // index of the first account that no run has taken
}

type benchAccount struct {
	name string
	seed []byte
	node int // that is asked about it: its seed is resident there
}

// measureRack brings up three nodes, their state grown by fillers first, and measures.
func measureRack(ctx context.Context, o options, fillers int) (rows []row, err error) {
	dir, err := os.MkdirTemp("", "strongroom-bench")
	if err != nil {
		return nil, err
	}
	if o.keep {
		fmt.Println("rack:", dir)
	} else {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	binary, err := firmwaresim.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	rack, err := firmwaresim.Create(ctx, firmwaresim.Config{
		Dir: filepath.Join(dir, "rack"), Binary: binary, TrustDomain: benchDomain,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = rack.Close() }()
	for _, c := range rack.Chassis {
		if err := configure(c.ConfigFile(), o.accounts); err != nil {
			return nil, err
		}
	}
	if fillers > 0 {
		fmt.Printf("\nGrowing the state by %d accounts\n", fillers)
		if err := rack.Init(ctx, rack.Chassis[0]); err != nil {
			return nil, err
		}
		if err := fill(ctx, rack.Chassis[0], fillers); err != nil {
			return nil, err
		}
	}
	if err := rack.Up(ctx); err != nil {
		return nil, err
	}
	b, err := newBencher(ctx, rack)
	if err != nil {
		return nil, err
	}
	title := fmt.Sprintf("Three nodes, %d accounts", fillers+1000)
	// With a thousand accounts in all, before there are more.
	if err := b.create(ctx, 1000); err != nil {
		return nil, err
	}
	section(title)
	few, err := b.rightCodes(ctx, 64, 1000)
	if err != nil {
		return nil, err
	}
	wrong, err := b.wrongCodes(ctx, 64, b.accounts[:1000], 20)
	if err != nil {
		return nil, err
	}
	rows = append(append(rows, few...), wrong)
	if err := b.create(ctx, o.accounts); err != nil {
		return nil, err
	}
	section(fmt.Sprintf("Three nodes, %d accounts", fillers+1000+o.accounts))
	for _, share := range []struct{ callers, percent int }{{1, 2}, {16, 16}, {64, 50}, {256, 32}} {
		measured, err := b.rightCodes(ctx, share.callers, o.accounts*share.percent/100)
		if err != nil {
			return nil, err
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}

// configure lets all of a node's share of seeds stay resident.
func configure(path string, accounts int) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed := strings.Replace(string(text), "[module]\n", fmt.Sprintf("[module]\nresident = %d\n", accounts+2000), 1)
	if changed == string(text) {
		return fmt.Errorf("%s has no section [module]", path)
	}
	return os.WriteFile(path, []byte(changed), 0o600)
}

func newBencher(ctx context.Context, rack *firmwaresim.Rack) (*bencher, error) {
	if _, err := rack.RunAs(ctx, rack.Operator(), "", "policy", "set", benchTenant, "--allow-import", "--tell-spent"); err != nil {
		return nil, err
	}
	frontend, err := rack.IssueClient(ctx, firmwaresim.Frontend, benchTenant, "bench")
	if err != nil {
		return nil, err
	}
	b := &bencher{rack: rack, processes: cpuClocks{"client": os.Getpid()}}
	if b.tls, err = frontend.TLS(); err != nil {
		return nil, err
	}
	b.tls.NextProtos = []string{"http/1.1"}
	for _, c := range rack.Chassis {
		b.processes[c.ID()] = c.PID()
	}
	return b, nil
}

// connect opens a caller's connections, one to each node.
func (b *bencher) connect(callers int) ([][]*conn, error) {
	all := make([][]*conn, callers)
	var group errgroup.Group
	group.SetLimit(32)
	for caller := range all {
		all[caller] = make([]*conn, len(b.rack.Chassis))
		for node, c := range b.rack.Chassis {
			group.Go(func() (err error) {
				config := b.tls.Clone()
				config.ServerName, _, _ = strings.Cut(c.APIAddr(), ":")
				all[caller][node], err = dial(c.APIAddr(), config)
				return err
			})
		}
	}
	return all, group.Wait()
}

func closeAll(all [][]*conn) {
	for _, conns := range all {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}
}

// create enrols n more accounts through the API, by importing seeds: the bench has to know them.
func (b *bencher) create(ctx context.Context, n int) error {
	first := len(b.accounts)
	for i := range n {
		seed := make([]byte, 20)
		_, _ = rand.Read(seed)
		spread, err := rand.Int(rand.Reader, big.NewInt(10_000_000))
		if err != nil {
			return err
		}
		// Fillers are f0000000 and so on: names between theirs, so that the state is read all over.
		name := fmt.Sprintf("f%07d-%d", spread, first+i)
		b.accounts = append(b.accounts, benchAccount{name: name, seed: seed, node: i % len(b.rack.Chassis)})
	}
	const callers = 64
	conns, err := b.connect(callers)
	defer closeAll(conns)
	if err != nil {
		return err
	}
	start := time.Now()
	m, err := run(ctx, callers, n, time.Hour, nil, func(_ context.Context, caller, request int) (string, error) {
		a := b.accounts[first+request]
		c := conns[caller][a.node]
		if status, answer, err := c.do("PUT", "/v1/accounts/"+a.name, "", nil); err != nil || status >= 300 {
			return "", fmt.Errorf("making an account: status %d: %s: %w", status, answer, err)
		}
		uri := "otpauth://totp/bench:a?issuer=bench&secret=" + base32.StdEncoding.EncodeToString(a.seed)
		body, err := json.Marshal(map[string]string{"uri": uri})
		if err != nil {
			return "", err
		}
		status, answer, err := c.do("POST", "/v1/accounts/"+a.name+"/authenticators", "", body)
		if err != nil || status >= 300 {
			return "", fmt.Errorf("importing a seed: status %d: %s: %w", status, answer, err)
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("\n%d accounts made and seeds imported through the API in %s: %.0f/s\n",
		n, time.Since(start).Round(100*time.Millisecond), m.rate())
	return nil
}

// rightCodes takes n accounts that were not verified yet. The codes of three steps are right at a time: the first finds
// every seed cold, the other two find it resident.
func (b *bencher) rightCodes(ctx context.Context, callers, n int) (rows []row, err error) {
	accounts := b.accounts[b.unused : b.unused+n]
	b.unused += n
	step, err := freshStep(ctx)
	if err != nil {
		return nil, err
	}
	conns, err := b.connect(callers)
	defer closeAll(conns)
	if err != nil {
		return nil, err
	}
	for _, pass := range []struct {
		name  string
		total int
		step  func(request int) int64
	}{
		{"right codes, cold seeds", n, func(int) int64 { return step - 1 }},
		{"right codes, hot seeds", 2 * n, func(request int) int64 { return step + int64(request/n) }},
	} {
		m, err := run(ctx, callers, pass.total, 12*time.Second, b.processes,
			func(_ context.Context, caller, request int) (string, error) {
				a := accounts[request%n]
				return conns[caller][a.node].verify(a.name, code(a.seed, pass.step(request)))
			})
		if err != nil {
			return nil, err
		}
		rows = append(rows, report(pass.name, m))
	}
	return rows, nil
}

// wrongCodes guesses at each account, below its budget, and reports it.
func (b *bencher) wrongCodes(ctx context.Context, callers int, accounts []benchAccount, each int) (row, error) {
	m, err := b.guess(ctx, callers, accounts, each)
	if err != nil {
		return row{}, err
	}
	return report("wrong codes, hot seeds", m), nil
}

func (b *bencher) guess(ctx context.Context, callers int, accounts []benchAccount, each int) (*measurement, error) {
	conns, err := b.connect(callers)
	defer closeAll(conns)
	if err != nil {
		return nil, err
	}
	return run(ctx, callers, len(accounts)*each, time.Minute, b.processes,
		func(_ context.Context, caller, request int) (string, error) {
			a := accounts[request%len(accounts)]
			// Far from any step of now: right once in a million.
			return conns[caller][a.node].verify(a.name, code(a.seed, int64(request)))
		})
}

// freshStep waits, when a step is nearly over, for the next: a run must not lose its codes under way.
func freshStep(ctx context.Context) (int64, error) {
	const period, needed = 30, 25
	if into := time.Now().Unix() % period; into > period-needed {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Duration(period-into) * time.Second):
		}
	}
	return time.Now().Unix() / period, nil
}

// code is RFC 6238's, computed here because the bench is the phone.
func code(seed []byte, step int64) string {
	mac := hmac.New(sha1.New, seed)
	_ = binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	offset := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}
