package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// stepTimeout bounds what a person waits for: an election is in it.
const stepTimeout = 20 * time.Second

// tab is a window of a visitor's browser.
type tab struct {
	t   *testing.T
	r   *rig
	jar cdp.BrowserContextID
	ctx context.Context
}

// visitor opens a browser without cookies, at the start, and has a person made. It returns its first tab and the password.
func (r *rig) visitor(t *testing.T) (first tab, password string) {
	t.Helper()
	return r.visitorWith(t, "#start")
}

// visitorWith is a visitor whose person is made by that button.
func (r *rig) visitorWith(t *testing.T, start string) (first tab, password string) {
	t.Helper()
	var jar cdp.BrowserContextID
	// Each visitor has cookies of their own.
	err := chromedp.Run(r.browser, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		jar, err = target.CreateBrowserContext().WithDisposeOnDetach(true).Do(browserOf(ctx))
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.DisposeBrowserContext(jar).Do(browserOf(r.browser)); err != nil {
			t.Error(err)
		}
	})
	first = tab{t, r, jar, nil}
	first.ctx = first.newWindow()
	first.watch()
	first.open("")
	first.click(start)
	password = first.text("#password")
	return first, password
}

// at leads the window elsewhere: who doesn't look at the start needs no window for it.
func (b tab) at(path string) tab {
	b.t.Helper()
	b.open(path)
	return b
}

// another opens a window of the same visitor. It is no tab of the first: one that is in front hides the others.
func (b tab) another(path string) tab {
	b.t.Helper()
	next := b
	next.ctx = b.newWindow()
	next.watch()
	next.open(path)
	return next
}

func (b tab) newWindow() context.Context {
	b.t.Helper()
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(b.jar).WithNewWindow(true).Do(browserOf(b.r.browser))
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(b.r.browser, chromedp.WithTargetID(id))
	b.t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil { // the first run's context is the tab's life: it has no deadline
		b.t.Fatal(err)
	}
	return ctx
}

// browserOf has a command go to the browser and not to a tab.
func browserOf(ctx context.Context) context.Context {
	return cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
}

// watch has what the page complains of fail the test: a script's error, or something that the content security policy
// forbids.
func (b tab) watch() {
	chromedp.ListenTarget(b.ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.t.Errorf("the page's script: %v", e.ExceptionDetails)
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && e.Entry.Source != log.SourceNetwork {
				b.t.Errorf("the browser says: %s", e.Entry.Text)
			}
		}
	})
}

func (b tab) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	err := chromedp.Run(ctx, actions...)
	// What is looked at may be replaced between the moments in which it is found and used: a page is live. Then nothing was
	// done yet.
	for err != nil && strings.Contains(err.Error(), "(-32000)") && ctx.Err() == nil {
		err = chromedp.Run(ctx, append([]chromedp.Action{chromedp.Sleep(20 * time.Millisecond)}, actions...)...)
	}
	if err != nil {
		var at, page string
		late, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		defer cancel()
		_ = chromedp.Run(late, chromedp.Location(&at), chromedp.Text("body", &page, chromedp.ByQuery))
		b.t.Fatalf("%s: %v\nat %s:\n%s", what, err, at, page)
	}
}

func (b tab) open(path string) {
	b.t.Helper()
	b.do("opening /"+path, chromedp.Navigate(b.r.site.URL+path))
}

// click waits until the element is there, clicks it and, if it leads somewhere, is there.
func (b tab) click(selector string) {
	b.t.Helper()
	b.do("clicking "+selector, chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// send clicks what sends a form, and waits for the page that comes.
func (b tab) send(selector string) {
	b.t.Helper()
	b.eval(`void(window.former = true)`, nil)
	b.click(selector)
	b.until("the page after "+selector, `document.readyState === "complete" && !window.former`)
}

// fill puts a text in the place of what a field has, at once, as pasting does: TestKeyboardOnly types.
func (b tab) fill(selector, text string) {
	b.t.Helper()
	b.do("typing into "+selector, chromedp.Focus(selector, chromedp.ByQuery, chromedp.NodeVisible),
		chromedp.Evaluate(`document.activeElement.select()`, nil), input.InsertText(text))
}

// see waits until an element is there and has a text in it.
func (b tab) see(selector, text string) {
	b.t.Helper()
	b.until(text+" in "+selector, fmt.Sprintf(
		`[...document.querySelectorAll(%q)].some((e) => e.checkVisibility() && e.innerText.replace(/\s+/g, " ").includes(%q))`, selector, text))
}

// until waits until a script is true. Pages are left and loaded meanwhile.
func (b tab) until(what, script string) {
	b.t.Helper()
	b.do("waiting for "+what, chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			done := false
			if err := chromedp.Evaluate(script, &done).Do(ctx); err == nil && done || ctx.Err() != nil {
				return ctx.Err()
			}
			if err := chromedp.Sleep(20 * time.Millisecond).Do(ctx); err != nil { // until the next look
				return err
			}
		}
	}))
}

// text waits until an element is seen and reads it.
func (b tab) text(selector string) (text string) {
	b.t.Helper()
	b.until(selector, fmt.Sprintf(`document.querySelector(%q)?.checkVisibility() ?? false`, selector))
	b.eval(fmt.Sprintf(`document.querySelector(%q).innerText.trim()`, selector), &text)
	return text
}

func (b tab) attribute(selector, name string) (value string) {
	b.t.Helper()
	b.until(selector, fmt.Sprintf(`document.querySelector(%q)?.hasAttribute(%q) ?? false`, selector, name))
	b.eval(fmt.Sprintf(`document.querySelector(%q).getAttribute(%q)`, selector, name), &value)
	return value
}

func (b tab) eval(script string, into any) {
	b.t.Helper()
	b.do("running a script", chromedp.Evaluate(script, into))
}

// key presses keys wherever the focus is.
func (b tab) key(keys string) {
	b.t.Helper()
	b.do("pressing keys", chromedp.KeyEvent(keys))
}

// look is how a page is looked at.
type look struct {
	name          string
	width, height int64
	dark          bool
}

var (
	light  = look{"light", 1366, 900, false}
	dark   = look{"dark", 1366, 900, true}
	narrow = look{"narrow", 390, 844, false}
)

// shoot keeps a screenshot of the whole page, named after the test.
func (b tab) shoot(name string, looks ...look) {
	b.t.Helper()
	dir := os.Getenv("STRONGROOM_SCREENSHOTS")
	if dir == "" {
		dir = "screenshots"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	for _, l := range looks {
		scheme := "light"
		if l.dark {
			scheme = "dark"
		}
		var png []byte
		b.do("looking at the page", chromedp.EmulateViewport(l.width, l.height),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.FullScreenshot(&png, 100))
		file := filepath.Join(dir, b.t.Name()+"-"+name+"-"+l.name+".png")
		if err := os.WriteFile(file, png, 0o644); err != nil {
			b.t.Fatal(err)
		}
		if len(png) < 4000 {
			b.t.Errorf("%s is empty", file)
		}
	}
}
