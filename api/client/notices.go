package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"strongroom.internal/api/wire"
)

// NoticeEvent is an event of the stream. ID is what to resume after.
type NoticeEvent struct {
	ID     string
	Missed bool // some notices are no longer kept: look at the accounts again; Notice is empty
	Notice wire.Notice
}

const (
	maxEvent = 64 << 10
	// streamSilence is how long a stream may say nothing: the node says every 15 s that it is there.
	streamSilence = 40 * time.Second
)

// Notices gives the tenant's notices to fn as they come, after the event with the given id, or from now on when it is
// empty. It goes on, from node to node, until ctx ends or fn returns an error, and returns that error.
func (c *Client) Notices(ctx context.Context, after string, fn func(NoticeEvent) error) error {
	wait := minWait
	tried := make([]bool, len(c.nodes.list))
	for {
		at, addr := c.nodes.pick(tried, time.Now())
		began := time.Now()
		err := c.stream(ctx, addr, &after, fn)
		var own *callerError
		if errors.As(err, &own) {
			return own.error
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var p *Problem
		if errors.As(err, &p) && p.Status < 500 {
			return err
		}
		c.nodes.failed(at, 0, time.Now())
		if time.Since(began) > streamSilence {
			wait = minWait
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
		wait = min(2*wait, maxWait)
	}
}

// callerError is what the caller's function returned.
type callerError struct{ error }

func (e *callerError) Unwrap() error { return e.error }

// stream reads one node's stream until it ends.
func (c *Client) stream(ctx context.Context, addr string, after *string, fn func(NoticeEvent) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(streamSilence, cancel)
	defer silence.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/v1/notices/stream", nil)
	if err != nil {
		return err
	}
	if *after != "" {
		r.Header.Set("Last-Event-ID", *after)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		p := &Problem{Status: answer.StatusCode, Title: "An answer that is not Strongroom's"}
		_ = json.NewDecoder(http.MaxBytesReader(nil, answer.Body, maxEvent)).Decode(p)
		return p
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxEvent)
	var e NoticeEvent
	var kind, data string
	for lines.Scan() {
		silence.Reset(streamSilence)
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.ID = value
		case "event":
			kind = value
		case "data":
			data = value
		case "":
			if kind == "" {
				continue
			}
			e.Missed = kind == "missed"
			if !e.Missed {
				if err := json.Unmarshal([]byte(data), &e.Notice); err != nil {
					return fmt.Errorf("reading an event of %s: it is not the JSON that was expected", addr)
				}
			}
			if err := fn(e); err != nil {
				return &callerError{err}
			}
			if e.ID != "" {
				*after = e.ID
			}
			e, kind, data = NoticeEvent{}, "", ""
		}
	}
	return fmt.Errorf("the stream of %s ended: %w", addr, errors.Join(lines.Err(), ctx.Err()))
}

// Webhooks lists where a tenant's notices are posted.
func (c *Client) Webhooks(ctx context.Context, tenant string) ([]wire.WebhookInfo, error) {
	var l wire.Webhooks
	err := c.do(ctx, call{method: http.MethodGet, path: webhookPath(tenant), repeat: always, answer: &l})
	return l.Webhooks, err
}

// SetWebhook has notices for "frontend" or "gateway" posted to a URL. Without r.Secret one is made and shown in the
// answer, once. It is not repeated when its outcome is unknown: set it again then.
func (c *Client) SetWebhook(ctx context.Context, tenant, destination string, r wire.WebhookRequest) (wire.Webhook, error) {
	var w wire.Webhook
	return w, c.do(ctx, call{method: http.MethodPut, path: webhookPath(tenant, destination), body: r, answer: &w})
}

// RemoveWebhook ends the posting.
func (c *Client) RemoveWebhook(ctx context.Context, tenant, destination string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: webhookPath(tenant, destination), repeat: always})
}

// Outbox says how the delivery of a tenant's notices stands.
func (c *Client) Outbox(ctx context.Context, tenant string) (wire.Outbox, error) {
	var o wire.Outbox
	return o, c.do(ctx, call{method: http.MethodGet, path: "/v1/tenants/" + url.PathEscape(tenant) + "/notices", repeat: always, answer: &o})
}

func webhookPath(tenant string, rest ...string) string {
	path := "/v1/tenants/" + url.PathEscape(tenant) + "/webhooks"
	for _, r := range rest {
		path += "/" + url.PathEscape(r)
	}
	return path
}
