package server

import (
	"net/http"
	"slices"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/access"
	"webjob.dev/webjob/internal/audit"
)

// route is one line of the operator listener's table. Every request of an operator is one
// of these, so what stands here is who may do what, and what the audit log calls it.
type route struct {
	pattern string
	right   webjob.Right
	on      reach
	action  string
	changes bool // something; else it only reads
	handle  actorHandler
	// about names what a refused request is about when its path does not; nil: the path does.
	about func(*http.Request)
}

// actorHandler handles a request of an operator who has the route's right.
type actorHandler func(http.ResponseWriter, *http.Request, *access.Actor) error

// reach says on which clients the actor must have the right.
type reach int

const (
	all  reach = iota // on every one: the request concerns all
	some              // on those that the request concerns, which its handler checks
)

// operatorTable is the table. A new route needs a line here.
func (s *Server) operatorTable() []route {
	const reads, changes = false, true
	o, f, r, p := operatorHandlers{scope{s}}, fleetHandlers{scope{s}}, repositoryHandlers{s}, peopleHandlers{scope{s}}
	return []route{
		{"GET " + api.PathServer, webjob.MayView, some, "server.show", reads, o.handleServer, nil},
		{"POST " + api.PathRenew, webjob.MayView, some, "operator.renew", changes, p.handleRenew, nil},

		{"GET " + api.PathOperators, webjob.MayView, all, "operator.list", reads, p.handleOperators, nil},
		{"GET " + api.PathOperators + "/{name}", webjob.MayView, some, "operator.show", reads, p.handleOperator, nil},
		{"POST " + api.PathOperators + "/{name}/role", webjob.MayAdmin, all, "operator.role", changes, p.handleRoles, nil},
		{"POST " + api.PathOperators + "/{name}/revoke", webjob.MayAdmin, all, "operator.revoke", changes, p.handleRevokeOperator, nil},
		{"GET " + api.PathTokens, webjob.MayView, all, "token.list", reads, p.handleTokens, nil},
		{"POST " + api.PathTokens, webjob.MayAdmin, some, "token.new", changes, p.handleNewToken, func(r *http.Request) { _, _ = readToken(r) }},
		{"POST " + api.PathTokens + "/{id}/revoke", webjob.MayAdmin, all, "token.revoke", changes, p.handleRevokeToken, nil},
		{"GET " + api.PathAudit, webjob.MayView, all, "audit.list", reads, p.handleAudit, nil},

		{"GET " + api.PathClients, webjob.MayView, some, "client.list", reads, o.handleClients, nil},
		{"GET " + api.PathClients + "/{id}", webjob.MayView, some, "client.show", reads, o.handleClient, nil},
		{"POST " + api.PathClients + "/{id}/suspend", webjob.MayOrder, some, "client.suspend", changes, p.handleSuspend, nil},
		{"POST " + api.PathClients + "/{id}/readmit", webjob.MayAdmin, some, "client.readmit", changes, p.handleReadmit, nil},
		{"POST " + api.PathClients + "/{id}/approve", webjob.MayAdmin, some, "client.approve", changes, p.handleApproveRenewal, nil},
		{"POST " + api.PathClients + "/{id}/revoke", webjob.MayAdmin, some, "client.revoke", changes, p.handleRevokeClient, nil},
		{"POST " + api.PathSelect, webjob.MayView, some, "client.select", reads, f.handleSelect, nil},

		{"HEAD " + api.PathOperatorBlobs + "{digest}", webjob.MayPublish, all, "payload.look", reads, o.handleHasPayload, nil},
		{"GET " + api.PathOperatorBlobs + "{digest}", webjob.MayView, some, "payload.read", reads, o.handleGetPayload, nil},
		{"PUT " + api.PathOperatorBlobs + "{digest}", webjob.MayPublish, all, "payload.upload", changes, o.handlePutPayload, nil},
		{"GET " + api.PathOperatorJobs, webjob.MayView, some, "job.list", reads, o.handleJobs, nil},
		{"GET " + api.PathOperatorJobs + "/{name}/latest", webjob.MayView, some, "job.show", reads, o.handleLatest, nil},
		{"GET " + api.PathOperatorJobs + "/{name}/{version}", webjob.MayView, some, "job.show", reads, o.handleJobVersion, nil},
		{"POST " + api.PathOperatorJobs + "/{name}/withdraw", webjob.MayPublish, all, "job.withdraw", changes, o.handleWithdraw, nil},
		{"POST " + api.PathRepositoryState, webjob.MayView, some, "repository.show", reads, r.handleRepositoryState, nil},
		{"POST " + api.PathDrafts, webjob.MayPublish, all, "draft.propose", changes, r.handlePropose, func(r *http.Request) { _, _ = readDraft(r) }},
		{"POST " + api.PathDrafts + "/{id}", webjob.MayApprove, all, "draft.sign", changes, r.handleSignDraft, nil},
		{"DELETE " + api.PathDrafts + "/{id}", webjob.MayPublish, all, "draft.drop", changes, r.handleDropDraft, nil},

		{"GET " + api.PathOrders, webjob.MayView, some, "order.list", reads, f.handleOrders, nil},
		{"POST " + api.PathOrders, webjob.MayOrder, some, "order.new", changes, f.handleNewOrder, func(r *http.Request) { _, _ = f.readOrder(r) }},
		{"GET " + api.PathOrders + "/{id}", webjob.MayView, some, "order.show", reads, f.handleOrder, nil},
		{"GET " + api.PathOrders + "/{id}/runs", webjob.MayView, some, "order.runs", reads, f.handleOrderRuns, nil},
		{"POST " + api.PathOrders + "/{id}/approve", webjob.MayApprove, some, "order.approve", changes, f.handleApprove, nil},
		{"POST " + api.PathOrders + "/{id}/stop", webjob.MayOrder, some, "order.stop", changes, f.handleStop, nil},
		{"POST " + api.PathOrders + "/{id}/resume", webjob.MayOrder, some, "order.resume", changes, f.handleResume, nil},
		{"GET " + api.PathOperatorResults, webjob.MayView, some, "result.list", reads, o.handleResults, nil},
		{"GET " + api.PathOperatorResults + "/{run}", webjob.MayView, some, "result.read", reads, o.handleGetResult, nil},
		{"GET " + api.PathOperatorResults + "/{run}/parts/{part}", webjob.MayView, some, "result.read", reads, o.handlePart, nil},

		{"GET " + api.PathHooks, webjob.MayView, all, "hook.list", reads, f.handleHooks, nil},
		{"POST " + api.PathHooks + "/{name}/test", webjob.MayAdmin, all, "hook.test", changes, f.handleTestHook, nil},
		{"GET " + api.PathDeliveries, webjob.MayView, all, "hook.list", reads, f.handleDeliveries, nil},
		{"POST " + api.PathDeliveries + "/retry", webjob.MayAdmin, all, "hook.retry", changes, f.handleRetry, func(r *http.Request) { _, _ = readRetry(r) }},
		{"GET " + api.PathConfig, webjob.MayView, some, "config.explain", reads, f.handleExplain, nil},
		{"POST " + api.PathConfig + "/reload", webjob.MayAdmin, all, "config.reload", changes, f.handleReload, func(r *http.Request) { webjob.About(r.Context(), configuration) }},
	}
}

// configuration is what a reload is about.
const configuration = "configuration"

// otherActions are those in the audit log that are no line of the table: of the server by
// itself, of those who come in, of commands on the server's machine, and of before.
var otherActions = []string{
	"operator.login", "operator.add", "client.enroll", "client.ask", "client.return", "client.clone",
	"ca.announce", "ca.switch", "ca.drop", "audit.export", "audit.verify", audit.ActionRest, "audit.read",
}

// checkAction refuses an action that nothing is recorded as. It may be named up to its dot.
func checkAction(table []route, action string) error {
	known := slices.Clone(otherActions)
	for _, line := range table {
		known = append(known, line.action)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	isKnown := func(k string) bool { return k == action || strings.HasPrefix(k, action+".") }
	if action == "" || slices.ContainsFunc(known, isKnown) {
		return nil
	}
	return webjob.Errorf(webjob.Invalid, "action %.40q is unknown; there are: %s; or all of a kind, such as order", action, strings.Join(known, " "))
}

// OperatorHandler serves operators: the interface that webjobctl uses.
func (s *Server) OperatorHandler() http.Handler {
	rt := s.routes("operator")
	rt.handle("POST "+api.PathLogin, peopleHandlers{scope{s}}.handleLogin)
	for _, line := range s.operatorTable() {
		rt.operate(line)
	}
	return rt.mux
}

// operate adds a route of the table. One that says not what right it needs, or what the
// audit log calls it, is a defect of the program, which does not start.
func (rt *routes) operate(line route) {
	if !slices.Contains(webjob.Rights(), line.right) || line.action == "" {
		panic("the route " + line.pattern + " names no right or no action")
	}
	rt.handle(line.pattern, gate{rt.server}.forActor(line))
}
