package server

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/dispatch"
)

// fleetHandlers translate the requests about orders, hooks, overrides and what clients may.
type fleetHandlers struct{ *Server }

// fleetRoutes are the requests about orders, hooks, overrides and what clients may.
func (s fleetHandlers) fleetRoutes() map[string]func(http.ResponseWriter, *http.Request, webjob.Operator) error {
	return map[string]func(http.ResponseWriter, *http.Request, webjob.Operator) error{
		"POST " + api.PathSelect:                    s.handleSelect,
		"POST " + api.PathClients + "/{id}/suspend": s.handleSuspend,
		"POST " + api.PathClients + "/{id}/readmit": s.handleReadmit,
		"POST " + api.PathClients + "/{id}/approve": s.handleApproveReturn,
		"GET " + api.PathOrders:                     s.handleOrders,
		"POST " + api.PathOrders:                    s.handleNewOrder,
		"GET " + api.PathOrders + "/{id}":           s.handleOrder,
		"GET " + api.PathOrders + "/{id}/runs":      s.handleOrderRuns,
		"POST " + api.PathOrders + "/{id}/stop":     s.handleStop,
		"POST " + api.PathOrders + "/{id}/resume":   s.handleResume,
		"GET " + api.PathDeliveries:                 s.handleDeliveries,
		"POST " + api.PathDeliveries + "/retry":     s.handleRetry,
		"GET " + api.PathHooks:                      s.handleHooks,
		"POST " + api.PathHooks + "/{name}/test":    s.handleTestHook,
		"GET " + api.PathConfig:                     s.handleExplain,
		"POST " + api.PathConfig + "/reload":        s.handleReload,
	}
}

func (s fleetHandlers) handleSelect(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	var request api.SelectRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	response, err := s.dispatcher.Select(r.Context(), request.On)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.SelectResponse(response))
}

func (s fleetHandlers) handleSuspend(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	var request api.RevokeRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	if err := webjob.CheckLine("reason", request.Reason, 500); err != nil {
		return err
	}
	id := r.PathValue("id")
	if err := s.store.SuspendClient(r.Context(), id, request.Reason, now()); err != nil {
		return err
	}
	s.shutOut(id)
	return operatorHandlers(s).handleClient(w, r, webjob.Operator{})
}

// handleReadmit ends a suspension, and whatever showed that an identity was copied: an
// operator has looked into it.
func (s fleetHandlers) handleReadmit(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	id := r.PathValue("id")
	if err := s.store.SuspendClient(r.Context(), id, "", time.Time{}); err != nil {
		return err
	}
	if err := s.store.ForgetClone(r.Context(), id); err != nil {
		return err
	}
	s.chains.forget(id)
	return operatorHandlers(s).handleClient(w, r, webjob.Operator{})
}

func (s fleetHandlers) handleOrders(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	filter, err := api.DecodeOrderFilter(r.URL.Query())
	if err != nil {
		return err
	}
	orders, err := s.store.ListOrders(r.Context(), filter)
	if err != nil {
		return err
	}
	for i := range orders {
		orders[i] = s.dispatcher.Overlay(orders[i])
	}
	return writeList(w, orders, filter.Page, func(o webjob.OrderStatus) string { return strconv.FormatInt(o.Sequence, 10) })
}

func (s fleetHandlers) handleNewOrder(w http.ResponseWriter, r *http.Request, operator webjob.Operator) error {
	var request api.OrderRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	o, err := s.dispatcher.Create(r.Context(), dispatch.Creation{Envelope: request.Envelope, By: operator.Name})
	if err != nil {
		return err
	}
	note(r, slog.String("order", o.ID), slog.String("job", o.Job))
	return writeJSON(w, http.StatusCreated, o)
}

func (s fleetHandlers) handleOrder(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	detail, err := s.dispatcher.Detail(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	answer := api.OrderDetail{OrderStatus: detail.OrderStatus, Slowest: detail.Slowest, Failing: detail.Failing, Waits: detail.Waits, Envelope: detail.Envelope}
	for _, run := range detail.CanaryRuns {
		answer.CanaryRuns = append(answer.CanaryRuns, api.CanaryRun(run))
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (s fleetHandlers) handleOrderRuns(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	page, err := api.DecodePage(r.URL.Query())
	if err != nil {
		return err
	}
	state := webjob.RunState(r.URL.Query().Get("state"))
	stored := []webjob.RunState{state}
	switch state {
	case "":
		stored = nil
	case webjob.RunRunning: // what clients say is not in the store
		stored = []webjob.RunState{webjob.RunQueued, webjob.RunOffered}
	}
	runs, last, err := s.store.ListOrderRuns(r.Context(), r.PathValue("id"), stored, page)
	if err != nil {
		return err
	}
	list := api.List[webjob.OrderRun]{Items: []webjob.OrderRun{}}
	for _, run := range runs {
		if run = s.dispatcher.StateOf(run); state == "" || run.State == state {
			list.Items = append(list.Items, run)
		}
	}
	if len(runs) == page.Limit {
		list.Next = last
	}
	return writeJSON(w, http.StatusOK, list)
}

func (s fleetHandlers) handleStop(w http.ResponseWriter, r *http.Request, operator webjob.Operator) error {
	var request api.StopRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	if err := webjob.CheckLine("reason", request.Reason, 500); err != nil {
		return err
	}
	if request.Reason == "" {
		request.Reason = "stopped by " + operator.Name
	}
	if err := s.dispatcher.Stop(r.Context(), r.PathValue("id"), request.Reason, request.Running); err != nil {
		return err
	}
	return s.handleOrder(w, r, operator)
}

func (s fleetHandlers) handleResume(w http.ResponseWriter, r *http.Request, operator webjob.Operator) error {
	if err := s.dispatcher.Resume(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return s.handleOrder(w, r, operator)
}

func (s fleetHandlers) handleDeliveries(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	page, err := api.DecodePage(r.URL.Query())
	if err != nil {
		return err
	}
	list, err := s.store.ListDeliveries(r.Context(), r.URL.Query().Get("dead") == "true", page)
	if err != nil {
		return err
	}
	return writeList(w, list, page, func(d webjob.Delivery) string { return strconv.FormatInt(d.Sequence, 10) })
}

func (s fleetHandlers) handleRetry(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	var request api.RetryRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	n, err := s.store.RetryDeliveries(r.Context(), request.Sequence, now())
	if err != nil {
		return err
	}
	s.outbox.Wake()
	return writeJSON(w, http.StatusOK, api.RetryResponse{Retried: n})
}

func (s fleetHandlers) handleHooks(w http.ResponseWriter, _ *http.Request, _ webjob.Operator) error {
	list := []api.HookInfo{}
	set := s.rules.Current()
	for _, h := range set.Hooks {
		list = append(list, api.HookInfo{Kind: "hook", Name: h.Name, On: h.On, Jobs: h.Jobs, Clients: h.Clients, Command: h.Command, URL: h.URL, OnFailure: h.OnFailure})
	}
	for _, t := range set.Triggers {
		list = append(list, api.HookInfo{Kind: "trigger", Name: t.Name, On: t.On, Jobs: t.Jobs, Clients: t.Clients, Command: t.Command, URL: t.URL})
	}
	return writeJSON(w, http.StatusOK, api.List[api.HookInfo]{Items: list})
}

func (s fleetHandlers) handleTestHook(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	answer, err := s.rules.Test(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// handleExplain tells what holds for a client and a job, and where it was set.
func (s fleetHandlers) handleExplain(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	job := r.URL.Query().Get("job")
	if job != "" {
		if err := webjob.CheckJobName(job); err != nil {
			return err
		}
	}
	client, err := s.store.Client(r.Context(), r.URL.Query().Get("client"))
	if err != nil {
		return err
	}
	explained := api.Explained{Client: client.ID, Job: job, Values: s.rules.Current().Overrides.Explain(client.ID, client.Labels, job)}
	if why := s.rules.NotInUse(); why != nil {
		explained.Error = why.Error()
	}
	return writeJSON(w, http.StatusOK, explained)
}

func (s fleetHandlers) handleReload(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	if err := s.Reload(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
