package server

import (
	"net/http"
	"slices"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/access"
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
		{"GET " + api.PathServer, webjob.MayView, some, "server.show", reads, o.handleServer},
		{"POST " + api.PathRenew, webjob.MayView, some, "operator.renew", changes, p.handleRenew},

		{"GET " + api.PathOperators, webjob.MayView, all, "operator.list", reads, p.handleOperators},
		{"GET " + api.PathOperators + "/{name}", webjob.MayView, some, "operator.show", reads, p.handleOperator},
		{"POST " + api.PathOperators + "/{name}/role", webjob.MayAdmin, all, "operator.role", changes, p.handleRoles},
		{"POST " + api.PathOperators + "/{name}/revoke", webjob.MayAdmin, all, "operator.revoke", changes, p.handleRevokeOperator},
		{"GET " + api.PathTokens, webjob.MayView, all, "token.list", reads, p.handleTokens},
		{"POST " + api.PathTokens, webjob.MayAdmin, some, "token.new", changes, p.handleNewToken},
		{"POST " + api.PathTokens + "/{id}/revoke", webjob.MayAdmin, all, "token.revoke", changes, p.handleRevokeToken},
		{"GET " + api.PathAudit, webjob.MayView, all, "audit.read", reads, p.handleAudit},

		{"GET " + api.PathClients, webjob.MayView, some, "client.list", reads, o.handleClients},
		{"GET " + api.PathClients + "/{id}", webjob.MayView, some, "client.show", reads, o.handleClient},
		{"POST " + api.PathClients + "/{id}/suspend", webjob.MayOrder, some, "client.suspend", changes, p.handleSuspend},
		{"POST " + api.PathClients + "/{id}/readmit", webjob.MayAdmin, some, "client.readmit", changes, p.handleReadmit},
		{"POST " + api.PathClients + "/{id}/approve", webjob.MayAdmin, some, "client.approve", changes, p.handleApproveRenewal},
		{"POST " + api.PathClients + "/{id}/revoke", webjob.MayAdmin, some, "client.revoke", changes, p.handleRevokeClient},
		{"POST " + api.PathSelect, webjob.MayView, some, "client.select", reads, f.handleSelect},

		{"HEAD " + api.PathOperatorBlobs + "{digest}", webjob.MayPublish, all, "payload.look", reads, o.handleHasPayload},
		{"GET " + api.PathOperatorBlobs + "{digest}", webjob.MayView, some, "payload.read", reads, o.handleGetPayload},
		{"PUT " + api.PathOperatorBlobs + "{digest}", webjob.MayPublish, all, "payload.upload", changes, o.handlePutPayload},
		{"GET " + api.PathOperatorJobs, webjob.MayView, some, "job.list", reads, o.handleJobs},
		{"GET " + api.PathOperatorJobs + "/{name}/latest", webjob.MayView, some, "job.show", reads, o.handleLatest},
		{"GET " + api.PathOperatorJobs + "/{name}/{version}", webjob.MayView, some, "job.show", reads, o.handleJobVersion},
		{"POST " + api.PathOperatorJobs + "/{name}/withdraw", webjob.MayPublish, all, "job.withdraw", changes, o.handleWithdraw},
		{"POST " + api.PathRepositoryState, webjob.MayView, some, "repository.show", reads, r.handleRepositoryState},
		{"POST " + api.PathDrafts, webjob.MayPublish, all, "draft.propose", changes, r.handlePropose},
		{"POST " + api.PathDrafts + "/{id}", webjob.MayApprove, all, "draft.sign", changes, r.handleSignDraft},
		{"DELETE " + api.PathDrafts + "/{id}", webjob.MayPublish, all, "draft.drop", changes, r.handleDropDraft},

		{"GET " + api.PathOrders, webjob.MayView, some, "order.list", reads, f.handleOrders},
		{"POST " + api.PathOrders, webjob.MayOrder, some, "order.new", changes, f.handleNewOrder},
		{"GET " + api.PathOrders + "/{id}", webjob.MayView, some, "order.show", reads, f.handleOrder},
		{"GET " + api.PathOrders + "/{id}/runs", webjob.MayView, some, "order.runs", reads, f.handleOrderRuns},
		{"POST " + api.PathOrders + "/{id}/approve", webjob.MayApprove, some, "order.approve", changes, f.handleApprove},
		{"POST " + api.PathOrders + "/{id}/stop", webjob.MayOrder, some, "order.stop", changes, f.handleStop},
		{"POST " + api.PathOrders + "/{id}/resume", webjob.MayOrder, some, "order.resume", changes, f.handleResume},
		{"GET " + api.PathOperatorResults, webjob.MayView, some, "result.list", reads, o.handleResults},
		{"GET " + api.PathOperatorResults + "/{run}", webjob.MayView, some, "result.read", reads, o.handleGetResult},
		{"GET " + api.PathOperatorResults + "/{run}/parts/{part}", webjob.MayView, some, "result.read", reads, o.handlePart},

		{"GET " + api.PathHooks, webjob.MayView, all, "hook.list", reads, f.handleHooks},
		{"POST " + api.PathHooks + "/{name}/test", webjob.MayAdmin, all, "hook.test", changes, f.handleTestHook},
		{"GET " + api.PathDeliveries, webjob.MayView, all, "hook.list", reads, f.handleDeliveries},
		{"POST " + api.PathDeliveries + "/retry", webjob.MayAdmin, all, "hook.retry", changes, f.handleRetry},
		{"GET " + api.PathConfig, webjob.MayView, some, "config.explain", reads, f.handleExplain},
		{"POST " + api.PathConfig + "/reload", webjob.MayAdmin, all, "config.reload", changes, f.handleReload},
	}
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
	rt.handle(line.pattern, rt.server.forActor(line))
}
