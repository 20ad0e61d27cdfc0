package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/hsm"
)

const (
	noticesRoute = "GET /v1/notices/stream"
	// streamBeat is how often a stream says that it lives, and so learns that its reader doesn't.
	streamBeat = 15 * time.Second
	// streamWrite bounds how long a reader may take for one event.
	streamWrite = 10 * time.Second
)

// WebhookPath names where notices go.
type WebhookPath struct {
	Destination string `path:"destination" enum:"frontend,gateway" doc:"frontend: notices of sign-ins, devices and phones. gateway: codes to be sent by text or call."`
}

func (a *API) registerNotices(h huma.API) {
	huma.Register(h, operation("GET /v1/tenants/{tenant}/webhooks", "list-webhooks", "notices", "Where a tenant's notices are posted", "Secrets are never shown.", http.StatusOK),
		func(ctx context.Context, in *TenantPath) (*struct{ Body wire.Webhooks }, error) {
			list, err := a.service.Webhooks(ctx, exchangeOf(ctx).caller, in.Tenant)
			if err != nil {
				return nil, failed(ctx, err)
			}
			out := &struct{ Body wire.Webhooks }{wire.Webhooks{Webhooks: make([]wire.WebhookInfo, len(list))}}
			for i, w := range list {
				out.Body.Webhooks[i] = wire.WebhookInfo{Destination: w.Destination, URL: w.URL}
			}
			return out, nil
		})
	huma.Register(h, operation("PUT /v1/tenants/{tenant}/webhooks/{destination}", "set-webhook", "notices", "Have notices posted to a URL",
		"By the Standard Webhooks specification: at least once, in order for each account, signed in the hardware with the secret. What is written from then on is posted.",
		http.StatusOK), a.setWebhook)
	huma.Register(h, operation("DELETE /v1/tenants/{tenant}/webhooks/{destination}", "remove-webhook", "notices", "End the posting of notices",
		"Those that wait are dropped.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			TenantPath
			WebhookPath
		},
		) (*empty, error) {
			if err := a.service.RemoveWebhook(ctx, exchangeOf(ctx).caller, in.Tenant, in.Destination); err != nil {
				return nil, failed(ctx, err)
			}
			return nil, nil
		})
	huma.Register(h, operation("GET /v1/tenants/{tenant}/notices", "get-outbox", "notices", "How the delivery of a tenant's notices stands", "", http.StatusOK),
		func(ctx context.Context, in *TenantPath) (*struct{ Body wire.Outbox }, error) {
			list, lost, err := a.service.Outboxes(ctx, exchangeOf(ctx).caller, in.Tenant)
			if err != nil {
				return nil, failed(ctx, err)
			}
			out := &struct{ Body wire.Outbox }{wire.Outbox{Lost: lost, Destinations: make([]wire.OutboxDestination, len(list))}}
			for i, o := range list {
				out.Body.Destinations[i] = wire.OutboxDestination{
					Destination: o.Destination, Waiting: o.Waiting, Oldest: o.Oldest.UTC(), Failure: o.Failure,
				}
			}
			return out, nil
		})
	stream := operation(noticesRoute, "stream-notices", "notices", "The tenant's notices as server-sent events",
		"Each event has the notice's type as its name, its number as its id, and the body of the webhook as its data. With Last-Event-ID it goes on after that one, on any node; without, it begins with what comes. The event missed says that some are no longer kept: look at the accounts again. The codes that a gateway sends are never in it.",
		http.StatusOK)
	stream.Parameters = []*huma.Param{{Name: "Last-Event-ID", In: "header", Schema: &huma.Schema{Type: "string"}}}
	stream.Responses = map[string]*huma.Response{"200": {
		Description: "OK", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}},
	}}
	h.OpenAPI().AddOperation(&stream)
	a.handle(noticesRoute, http.HandlerFunc(a.streamNotices))
}

const secretPrefix = "whsec_"

func (a *API) setWebhook(ctx context.Context, in *struct {
	TenantPath
	WebhookPath
	Body wire.WebhookRequest
},
) (*struct{ Body wire.Webhook }, error) {
	var secret *hsm.Secret
	if text := in.Body.Secret.Reveal(); text != "" {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, secretPrefix))
		if err != nil || !strings.HasPrefix(text, secretPrefix) {
			return nil, failed(ctx, invalid("secret", "must be whsec_ and 24 to 64 bytes in base64"))
		}
		secret = hsm.NewSecret(raw)
		defer secret.Destroy()
	}
	w, err := a.service.SetWebhook(ctx, exchangeOf(ctx).caller, in.Tenant, in.Destination, in.Body.URL, secret)
	if err != nil {
		return nil, failed(ctx, err)
	}
	out := &struct{ Body wire.Webhook }{wire.Webhook{Destination: w.Destination, URL: w.URL, Entry: w.Entry}}
	if w.Secret != nil {
		out.Body.Secret = wire.NewSecret(secretPrefix + base64.StdEncoding.EncodeToString(w.Secret.Reveal()))
		w.Secret.Destroy()
	}
	return out, nil
}

// streamNotices serves the tenant's notices as server-sent events (WHATWG HTML, Section 9.2). Each has its number as id; a
// client that comes back with Last-Event-ID goes on after it. The event "missed" says that some are no longer kept.
func (a *API) streamNotices(w http.ResponseWriter, r *http.Request) {
	var after *uint64
	if v := r.Header.Get("Last-Event-ID"); v != "" {
		n, err := strconv.ParseUint(v, 10, 62)
		if err != nil {
			a.fail(w, r, invalid("Last-Event-ID", "must be the id of an event of this stream"))
			return
		}
		after = &n
	}
	s := &eventStream{w: w, control: http.NewResponseController(w)}
	ctx, cancel := streamContext(r)
	defer cancel()
	if r.Method == http.MethodHead {
		s.head()
		return
	}
	events := make(chan event)
	begun, ended := make(chan bool, 1), make(chan error, 1)
	go func() {
		ended <- a.service.Notices(ctx, exchangeOf(ctx).caller, after, func(missed bool) error {
			begun <- missed
			return nil
		}, func(n appliance.NoticeEvent) error {
			return push(ctx, events, event{id: n.Number, kind: n.Type, data: n.Body})
		})
	}()
	// Whoever sees the stream begin relies on it: what comes from then on is in it.
	select {
	case missed := <-begun:
		if s.begin() != nil || missed && s.send(event{kind: "missed"}) != nil {
			return
		}
	case err := <-ended:
		if err != nil {
			a.fail(w, r, err)
		}
		return
	case <-a.ending.Done():
		a.fail(w, r, appliance.ErrUnavailable)
		return
	case <-ctx.Done():
		return
	}
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case e := <-events:
			err = s.send(e)
		case <-beat.C:
			err = s.write(": still here\n\n")
		case <-a.ending.Done():
			return
		case <-ctx.Done():
			return
		case err = <-ended:
			if err != nil && ctx.Err() == nil {
				a.log.Warn("a stream of notices ended", "request", exchangeOf(r.Context()).requestID, "error", err)
			}
			return
		}
		if err != nil {
			return // the reader has gone
		}
	}
}

type event struct {
	id   uint64 // 0: none
	kind string
	data []byte
}

func push(ctx context.Context, events chan<- event, e event) error {
	select {
	case events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// eventStream writes events, each within a deadline of its own.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *eventStream) head() {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.WriteHeader(http.StatusOK)
}

func (s *eventStream) begin() error {
	s.head()
	return s.write("retry: 1000\n\n")
}

func (s *eventStream) send(e event) error {
	text := fmt.Sprintf("event: %s\ndata: %s\n\n", e.kind, e.data) // JSON of one line
	if e.id != 0 {
		text = fmt.Sprintf("id: %d\n%s", e.id, text)
	}
	return s.write(text)
}

func (s *eventStream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	return s.control.SetWriteDeadline(time.Time{})
}
