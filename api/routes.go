package api

import (
	"time"

	"strongroom.internal/appliance"
)

// roles is a set of roles.
type roles uint8

const (
	frontend roles = 1 << appliance.Frontend
	helpdesk roles = 1 << appliance.Helpdesk
	operator roles = 1 << appliance.Operator
	auditor  roles = 1 << appliance.Auditor
	node     roles = 1 << appliance.Node

	anyRole = frontend | helpdesk | operator | auditor | node // whoever has a certificate of this cluster
	nobody  = roles(0)                                        // no certificate is asked for
)

// allRoles in the order of the documentation.
var allRoles = [...]appliance.Role{
	appliance.Frontend, appliance.Helpdesk, appliance.Operator, appliance.Auditor, appliance.Node,
}

func (s roles) has(r appliance.Role) bool { return s&(1<<r) != 0 }

// verifyRoute is the hot path: see lean.go.
const verifyRoute = "POST /v1/accounts/{account}/verifications"

// Routes of the log that are more than JSON: see tiles.go and stream.go.
const (
	checkpointRoute = "GET /v1/log/{tree}/checkpoint"
	tileRoute       = "GET /v1/log/{tree}/tile/{path...}"
	searchPath      = "/v1/log/search"
	searchRoute     = "GET " + searchPath
	streamRoute     = "GET /v1/log/stream"
)

// access says who may do what. It is the whole of authorisation but for tenants, which are no part of a path: an account
// is looked up under its caller's own tenant and under no other. A route that is not here can't be registered.
var access = map[string]roles{
	"PUT /v1/accounts/{account}":    frontend,
	"GET /v1/accounts/{account}":    frontend | helpdesk,
	"DELETE /v1/accounts/{account}": frontend,

	"POST /v1/accounts/{account}/devices":            frontend,
	"GET /v1/accounts/{account}/devices":             frontend | helpdesk,
	"DELETE /v1/accounts/{account}/devices/{device}": frontend,

	"POST /v1/accounts/{account}/authenticators":                                    frontend,
	"GET /v1/accounts/{account}/authenticators":                                     frontend | helpdesk,
	"DELETE /v1/accounts/{account}/authenticators/{authenticator}":                  frontend,
	"POST /v1/accounts/{account}/authenticators/{authenticator}/resynchronisations": frontend,

	verifyRoute: frontend,
	"GET /v1/accounts/{account}/receipts/{entry}": frontend,

	"POST /v1/accounts/{account}/app-passwords":        frontend,
	"GET /v1/accounts/{account}/app-passwords":         frontend | helpdesk,
	"DELETE /v1/accounts/{account}/app-passwords":      frontend,
	"DELETE /v1/accounts/{account}/app-passwords/{id}": frontend,
	verifyAppPasswordRoute:                             frontend,

	"POST /v1/accounts/{account}/sign-ins":                          frontend,
	"GET /v1/accounts/{account}/sign-ins":                           frontend | helpdesk,
	waitRoute:                                                       frontend | helpdesk,
	"DELETE /v1/accounts/{account}/sign-ins/{sign_in}":              frontend,
	"POST /v1/accounts/{account}/sign-ins/{sign_in}/decisions":      frontend,
	"POST /v1/accounts/{account}/sign-ins/{sign_in}/codes":          frontend,
	"POST /v1/accounts/{account}/sign-ins/{sign_in}/codes/{device}": frontend,
	"POST /v1/accounts/{account}/sign-ins/{sign_in}/verifications":  frontend,
	"POST /v1/accounts/{account}/combined-verifications":            frontend,

	"POST /v1/accounts/{account}/phones":                       frontend,
	"GET /v1/accounts/{account}/phones":                        frontend | helpdesk,
	"PUT /v1/accounts/{account}/phones/{phone}":                frontend,
	"DELETE /v1/accounts/{account}/phones/{phone}":             frontend,
	"POST /v1/accounts/{account}/phones/{phone}/codes":         frontend,
	"POST /v1/accounts/{account}/phones/{phone}/verifications": frontend,

	"POST /v1/accounts/{account}/browsers":                       frontend,
	"GET /v1/accounts/{account}/browsers":                        frontend | helpdesk,
	"DELETE /v1/accounts/{account}/browsers":                     frontend,
	"DELETE /v1/accounts/{account}/browsers/{browser}":           frontend,
	"POST /v1/accounts/{account}/browsers/verifications":         frontend,
	"POST /v1/accounts/{account}/browsers/sign-outs":             frontend,
	"POST /v1/accounts/{account}/devices/{device}/verifications": frontend,
	"POST /v1/accounts/{account}/devices/{device}/sign-outs":     frontend,
	"POST /v1/accounts/{account}/password-changes":               frontend,

	noticesRoute:                                                      frontend,
	"POST /v1/accounts/{account}/protection":                          frontend,
	"GET /v1/accounts/{account}/protection":                           frontend | helpdesk,
	"POST /v1/accounts/{account}/protection/undo":                     frontend,
	"PUT /v1/accounts/{account}/class":                                frontend,
	"POST /v1/accounts/{account}/two-step":                            frontend,
	"POST /v1/accounts/{account}/two-step/import":                     frontend,
	"GET /v1/accounts/{account}/two-step":                             frontend | helpdesk,
	"DELETE /v1/accounts/{account}/two-step":                          frontend,
	"POST /v1/accounts/{account}/two-step/codes":                      frontend,
	"POST /v1/accounts/{account}/two-step/verifications":              frontend,
	"POST /v1/accounts/{account}/two-step/recovery-keys":              frontend,
	"POST /v1/accounts/{account}/two-step/move":                       frontend,
	"GET /v1/eligibility":                                             frontend | helpdesk,
	"GET /v1/accounts/{account}/devices/{device}":                     frontend | helpdesk,
	"PUT /v1/accounts/{account}/devices/{device}":                     frontend,
	"POST /v1/accounts/{account}/devices/{device}/reports":            frontend,
	"PUT /v1/accounts/{account}/devices/{device}/presence":            frontend,
	"GET /v1/tenants/{tenant}/notices":                                operator | auditor,
	"GET /v1/tenants/{tenant}/webhooks":                               operator | auditor,
	"PUT /v1/tenants/{tenant}/webhooks/{destination}":                 operator,
	"DELETE /v1/tenants/{tenant}/webhooks/{destination}":              operator,
	"POST /v1/accounts/{account}/recoveries":                          frontend,
	"GET /v1/accounts/{account}/recoveries":                           frontend | helpdesk, // which can do no more about it
	"DELETE /v1/accounts/{account}/recoveries/{recovery}":             frontend,
	"POST /v1/accounts/{account}/recoveries/{recovery}/codes":         frontend,
	"POST /v1/accounts/{account}/recoveries/{recovery}/evidence":      frontend,
	"POST /v1/accounts/{account}/recoveries/{recovery}/cancellations": frontend,
	"POST /v1/accounts/{account}/recoveries/{recovery}/claims":        frontend,
	"POST /v1/accounts/{account}/recoveries/{recovery}/completions":   frontend,
	"POST /v1/accounts/{account}/password-resets":                     frontend,
	"POST /v1/accounts/{account}/password-resets/redemptions":         frontend,

	"GET /v1/tenants/{tenant}/policy": operator | auditor,
	"PUT /v1/tenants/{tenant}/policy": operator,

	checkpointRoute:         operator | auditor,
	tileRoute:               operator | auditor,
	"GET /v1/log/trees":     operator | auditor,
	"GET /v1/log/policy":    operator | auditor,
	"GET /v1/log/head":      operator | auditor,
	"GET /v1/log/entries":   operator | auditor,
	"GET /v1/log/proofs":    operator | auditor,
	searchRoute:             operator | auditor,
	streamRoute:             operator | auditor,
	"GET /v1/log/retention": operator | auditor,
	"PUT /v1/log/retention": operator,
	"GET /v1/log/witnesses": operator | auditor,
	"PUT /v1/log/witnesses": operator,
	"POST /v1/log/archives": operator,
	"POST /v1/log/prunings": operator,
	"GET /v1/cluster":       operator | auditor | node,
	"GET /metrics":          operator | auditor,

	"POST /v1/clients":      operator,
	"POST /v1/join-tokens":  operator,
	"POST /v1/join":         nobody, // the token speaks for it
	"DELETE /v1/nodes/{id}": operator,

	"GET /livez":        nobody,
	"GET /readyz":       nobody, // and without a certificate no details
	"GET /openapi.json": anyRole,
	"GET /docs":         anyRole,
}

// patient are routes that wait for something to happen: they have time of their own, and are not counted as under way.
// A stream has no end.
var patient = map[string]time.Duration{waitRoute: (maxSignInWait + 5) * time.Second, noticesRoute: 0, streamRoute: 0}

// unlimited are answered however many requests are under way, so that a busy node is not taken for a dead one.
var unlimited = map[string]bool{"GET /livez": true, "GET /readyz": true, "GET /metrics": true}
