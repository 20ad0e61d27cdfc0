package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"strongroom.internal/hsm"
)

// metrics are the API's own, and at each scrape the node's state. Labels are routes, outcomes and names of problems: no
// account and no tenant is ever among them.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	routes   map[string]*routeMetrics // by pattern; complete when New returns, read only after
}

// routeMetrics saves the hot path the look-up by labels.
type routeMetrics struct {
	seconds  prometheus.Observer
	outcomes map[string]prometheus.Counter
}

var verifyOutcomes = [...]string{"ok", "accepted", "wrong", "spent", "expired", "locked"}

func newMetrics(a *API) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_api_requests_total", Help: "Requests by route and outcome: ok, an attempt's outcome, or a problem's name.",
		}, []string{"route", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strongroom_api_request_seconds", Help: "Time from the first byte read to the answer written.",
			Buckets: []float64{.0005, .001, .002, .004, .008, .016, .035, .07, .15, .3, .6, 1.2, 2.5, 5, 10},
		}, []string{"route"}),
		routes: make(map[string]*routeMetrics),
	}
	for pattern := range access {
		r := &routeMetrics{seconds: m.seconds.WithLabelValues(pattern), outcomes: make(map[string]prometheus.Counter)}
		r.outcomes["ok"] = m.requests.WithLabelValues(pattern, "ok")
		if pattern == verifyRoute {
			for _, o := range verifyOutcomes {
				r.outcomes[o] = m.requests.WithLabelValues(pattern, o)
			}
		}
		m.routes[pattern] = r
	}
	a.registry.MustRegister(m.requests, m.seconds, &nodeCollector{a})
	return m
}

func (m *metrics) observe(e *exchange, took time.Duration) {
	outcome := "ok"
	switch {
	case e.problem != "":
		outcome = e.problem
	case e.outcome != "":
		outcome = e.outcome
	case e.status >= 400:
		outcome = strconv.Itoa(e.status)
	}
	r := m.routes[e.route]
	if r == nil {
		m.requests.WithLabelValues("none", outcome).Inc()
		return
	}
	r.seconds.Observe(took.Seconds())
	if c := r.outcomes[outcome]; c != nil {
		c.Inc()
		return
	}
	m.requests.WithLabelValues(e.route, outcome).Inc()
}

// Metrics serves the registry without asking for a certificate, for a listener of its own.
func (a *API) Metrics() http.Handler {
	return promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 5 * time.Second})
}

// nodeCollector shows Status at each scrape.
type nodeCollector struct{ a *API }

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("strongroom_"+name, help, nil, nil)
}

var (
	moduleReady      = desc("module_ready", "1 while the node's module can compute codes.")
	moduleSessions   = desc("module_sessions", "Open sessions of the module.")
	moduleInUse      = desc("module_sessions_in_use", "Sessions of the module that compute.")
	moduleWaiting    = desc("module_waiting", "Requests that wait for a session.")
	moduleResident   = desc("module_resident_seeds", "Seeds that are loaded in the module now.")
	moduleHits       = desc("module_resident_hits_total", "MACs that found their seed loaded.")
	moduleMisses     = desc("module_resident_misses_total", "MACs that had to unseal their seed.")
	moduleEvictions  = desc("module_resident_evictions_total", "Seeds that made room for others.")
	moduleRecoveries = desc("module_recoveries_total", "How often the module came back.")
	raftTerm         = desc("raft_term", "Raft's term as this node knows it.")
	raftApplied      = desc("raft_applied_index", "Last command that this node applied.")
	raftLeader       = desc("raft_is_leader", "1 on the leader.")
	raftMembers      = desc("raft_members", "Nodes in the cluster.")
	logSize          = desc("log_entries", "Entries of the key-usage log on this node.")
	clockOffset      = desc("clock_offset_seconds", "This node's clock against its peers' median.")
	noticesWaiting   = desc("notices_waiting", "Notices that wait to be delivered, of all tenants.")
	noticesLost      = desc("notices_lost_total", "Notices that were dropped, because too many waited.")
	inFlight         = desc("api_in_flight_requests", "Requests under way.")
)

func (c *nodeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		moduleReady, moduleSessions, moduleInUse, moduleWaiting, moduleResident, moduleHits, moduleMisses, moduleEvictions,
		moduleRecoveries, raftTerm, raftApplied, raftLeader, raftMembers, logSize, clockOffset, inFlight,
		noticesWaiting, noticesLost,
	} {
		ch <- d
	}
}

func (c *nodeCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	count := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge(inFlight, float64(c.a.inFlight.Load()))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s, err := c.a.service.Status(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(raftApplied, err)
		return
	}
	gauge(moduleReady, one(s.Module.Status == hsm.Ready))
	gauge(moduleSessions, float64(s.Module.SessionsOpen))
	gauge(moduleInUse, float64(s.Module.SessionsInUse))
	gauge(moduleWaiting, float64(s.Module.Waiting))
	gauge(moduleResident, float64(s.Module.Resident))
	count(moduleHits, s.Module.Hits)
	count(moduleMisses, s.Module.Misses)
	count(moduleEvictions, s.Module.Evictions)
	count(moduleRecoveries, s.Module.Recoveries)
	gauge(raftTerm, float64(s.Term))
	gauge(raftApplied, float64(s.Applied))
	gauge(raftLeader, one(s.Leader != "" && s.Leader == s.Node))
	gauge(raftMembers, float64(len(s.Members)))
	gauge(logSize, float64(s.LogSize))
	gauge(noticesWaiting, float64(s.NoticesWaiting))
	count(noticesLost, s.NoticesLost)
	gauge(clockOffset, s.Clock.Seconds())
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
