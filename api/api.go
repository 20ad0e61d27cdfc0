// Package api is the HTTP API over the use cases: JSON over HTTP/2 with mutual TLS.
//
// A request walks through four doors, each in a file of its own: it is named and routed (guard.go), its certificate is
// turned into a caller and the caller's role is looked up in one table (identity.go, routes.go), its inputs are bounded
// (limits.go, strict.go), and only then does a handler hand it to the use cases. What comes back as an error becomes a
// problem document through one table (problem.go).
//
// OpenAPI 3.1 is generated from the handlers (huma.go) and checked in as openapi.json.
package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Config is what an API is made of. Service and TrustDomain are required.
type Config struct {
	Service     Service
	TrustDomain string               // of the SPIFFE IDs; callers of another one are strangers
	Log         hclog.Logger         // nil: none
	Registry    *prometheus.Registry // to which the API's metrics are added; nil: one of its own, with the process's

	MaxInFlight    int           // requests under way, beyond which they are shed; 0: 1024
	RequestTimeout time.Duration // for which a use case may run; 0: 10 s
}

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Service == nil {
		errs = append(errs, errors.New("service is required"))
	}
	if c.TrustDomain == "" {
		errs = append(errs, errors.New("trust domain is required"))
	}
	if c.MaxInFlight < 0 || c.RequestTimeout < 0 {
		errs = append(errs, errors.New("limits must not be negative"))
	}
	return errors.Join(errs...)
}

// API is the handler of every route. It is safe for concurrent use.
type API struct {
	service        Service
	trustDomain    string
	log            hclog.Logger
	debug          bool // log every request
	registry       *prometheus.Registry
	metrics        *metrics
	mux            *http.ServeMux
	document       *huma.OpenAPI
	inFlight       atomic.Int64
	publicInFlight atomic.Int64
	streams        atomic.Int64    // that are under way
	heartbeat      time.Duration   // of streams
	patience       time.Duration   // with a client that doesn't read its stream
	ending         context.Context // ends streams, which would hold up the server's end
	end            context.CancelFunc
	waiting        atomic.Int64 // requests that wait for something to happen
	waitingOf      places
	maxInFlight    int64
	requestTimeout time.Duration
	readiness      readiness
	plain          bool // serve the hot path by huma as well; for tests that compare the two
}

// New makes the handler. It does no I/O.
func New(c Config) (*API, error) { return build(c, false) }

func build(c Config, plain bool) (*API, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("making the API: %w", err)
	}
	a := &API{
		service: c.Service, trustDomain: c.TrustDomain, log: c.Log, registry: c.Registry, mux: http.NewServeMux(),
		maxInFlight: int64(c.MaxInFlight), requestTimeout: c.RequestTimeout, plain: plain,
	}
	if a.log == nil {
		a.log = hclog.NewNullLogger()
	}
	a.debug = a.log.IsDebug()
	if a.registry == nil {
		a.registry = prometheus.NewRegistry()
		a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	if a.maxInFlight == 0 {
		a.maxInFlight = maxInFlight
	}
	if a.requestTimeout == 0 {
		a.requestTimeout = requestTimeout
	}
	a.heartbeat, a.patience = streamHeartbeat, streamWriteTimeout
	a.ending, a.end = context.WithCancel(context.Background())
	a.metrics = newMetrics(a)
	if err := a.register(); err != nil {
		return nil, fmt.Errorf("making the API: %w", err)
	}
	return a, nil
}

// register fills the mux: huma's routes, the hot path, and the few that are not JSON.
func (a *API) register() error {
	h := a.newHuma()
	a.registerAccounts(h)
	a.registerCredentials(h)
	a.registerVerifications(h)
	a.registerAppPasswords(h)
	a.registerSignIns(h)
	a.registerPhones(h)
	a.registerTrust(h)
	a.registerProtection(h)
	a.registerTwoStep(h)
	a.registerRecoveries(h)
	a.registerNotices(h)
	a.registerTenants(h)
	a.registerCluster(h)
	a.registerMembership(h)
	a.registerLog(h)
	a.registerTiles(h)
	a.registerStream(h)
	a.registerSearch(h)
	a.registerRetention(h)
	a.registerHealth(h)
	a.document = h.OpenAPI()
	openapi, err := document(a.document)
	if err != nil {
		return err
	}
	docs, err := docsPage(a.document)
	if err != nil {
		return err
	}
	a.handle("GET /openapi.json", static("application/json", openapi))
	a.handle("GET /docs", static("text/html; charset=utf-8", docs))
	a.handle("GET /metrics", a.Metrics())
	a.mux.HandleFunc("/", a.unrouted)
	return nil
}

// Close ends the streams, which would otherwise last as long as their readers.
func (a *API) Close() { a.end() }

func (a *API) handle(pattern string, h http.Handler) { a.mux.Handle(pattern, a.guard(pattern, h)) }
