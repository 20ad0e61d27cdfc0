// Package browser shows the demo's site to eyes and fingers: headless Chromium (Debian's package chromium), against three
// real nodes.
//
// What it saw is kept as screenshots, in the directory that STRONGROOM_SCREENSHOTS names, or in screenshots beside this
// file, which git ignores.
package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	firmwaresim "strongroom.internal/firmware-sim"
	"strongroom.internal/firmware-sim/site"
)

// rig is the rack, its site and the browser that all tests share.
type rig struct {
	rack    *firmwaresim.Rack
	site    *site.Site
	browser context.Context
	end     []func() error // last first
	log     lines
}

var shared struct {
	sync.Once
	rig *rig
	err error
}

func TestMain(m *testing.M) {
	os.Exit(firmwaresim.Main(mainFunc(func() int {
		code := m.Run()
		if shared.rig != nil {
			if err := shared.rig.close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = max(code, 1)
			}
		}
		return code
	})))
}

type mainFunc func() int

func (f mainFunc) Run() int { return f() }

func power(t *testing.T) *rig {
	t.Helper()
	shared.Do(func() {
		shared.rig = &rig{}
		shared.err = shared.rig.open()
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Cleanup(func() {
		if said := shared.rig.log.take(); said != "" {
			t.Errorf("the site complains:\n%s", said)
		}
	})
	return shared.rig
}

func (r *rig) open() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := r.startBrowser(); err != nil {
		return err
	}
	binary, err := firmwaresim.TestBinary(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "strongroom-browser-rack-")
	if err != nil {
		return err
	}
	r.end = append(r.end, func() error { return os.RemoveAll(dir) })
	if r.rack, err = firmwaresim.Create(ctx, firmwaresim.Config{Dir: dir, Binary: binary}); err != nil {
		return err
	}
	r.end = append(r.end, r.rack.Close)
	if err := site.WritePlaces(r.rack); err != nil {
		return err
	}
	if err := r.rack.Up(ctx); err != nil {
		return err
	}
	r.site, err = site.Start(ctx, r.rack, site.Config{
		Tenant: "demo", PasswordRounds: 1000, SendCooldown: time.Second, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	if err != nil {
		return err
	}
	r.end = append(r.end, r.site.Close)
	return nil
}

func (r *rig) startBrowser() error {
	program, err := exec.LookPath("chromium")
	if err != nil {
		return errors.New("chromium is not there: apt-get install chromium")
	}
	dir, err := os.MkdirTemp("", "strongroom-browser-")
	if err != nil {
		return err
	}
	r.end = append(r.end, func() error { return os.RemoveAll(dir) })
	allocator, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(program), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("lang", "en-GB"),
		chromedp.Env("HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir))
	browser, closeBrowser := chromedp.NewContext(allocator)
	r.end = append(r.end, func() error {
		err := chromedp.Cancel(browser) // ends Chromium in order and waits for it
		closeBrowser()
		cancel()
		return err
	})
	r.browser = browser
	return chromedp.Run(browser)
}

func (r *rig) close() (err error) {
	for i := len(r.end) - 1; i >= 0; i-- {
		err = errors.Join(err, r.end[i]())
	}
	return err
}

// lines are what the site logged.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}
