package server

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/access"
	"webjob.dev/webjob/internal/dispatch"
	"webjob.dev/webjob/internal/trust"
)

// fleetHandlers translate the requests about orders, hooks, overrides and what clients may.
type fleetHandlers struct{ scope }

func (s fleetHandlers) handleSelect(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	var request api.SelectRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	response, err := s.dispatcher.Select(r.Context(), request.On, a.Sees)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.SelectResponse(response))
}

func (s fleetHandlers) handleOrders(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
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

// readOrder reads a signed order, as far as it is signed by people of the policy.
func (s fleetHandlers) readOrder(r *http.Request) (order signedOrder, err error) {
	var request api.OrderRequest
	if err := readJSON(r, &request); err != nil {
		return order, err
	}
	policy, err := s.repository.Policy()
	if err != nil {
		return order, err
	}
	order.envelope = request.Envelope
	if order.SignedOrder, err = policy.OpenOrder(request.Envelope); err != nil {
		return order, err
	}
	if r.PathValue("id") == "" {
		webjob.About(r.Context(), order.ID)
	}
	return order, nil
}

// signedOrder is an order with its envelope.
type signedOrder struct {
	*trust.SignedOrder

	envelope []byte
}

// handleNewOrder takes an order in. What it is for must be within what its creator may
// order on, now and for clients that join later.
func (s fleetHandlers) handleNewOrder(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	order, err := s.readOrder(r)
	if err != nil {
		return err
	}
	within, err := a.Within(webjob.MayOrder)
	if err != nil {
		return err
	}
	after := describeOrder(order.SignedOrder)
	o, err := s.dispatcher.Create(r.Context(), dispatch.Creation{
		Envelope: order.envelope, By: a.Name, Within: within,
		Check: func(targets []webjob.Client) error {
			after["clients"] = len(targets)
			webjob.Describe(r.Context(), order.ID, nil, after)
			return a.MayOnAll(webjob.MayOrder, targets)
		},
	})
	if err != nil {
		return err
	}
	note(r, slog.String("order", o.ID), slog.String("job", o.Job))
	return writeJSON(w, http.StatusCreated, o)
}

// handleApprove adds signatures to an order.
func (s fleetHandlers) handleApprove(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	order, err := s.readOrder(r)
	if err != nil {
		return err
	}
	before, err := s.mayOnOrder(r.Context(), a, webjob.MayApprove, r.PathValue("id"))
	if err != nil {
		return err
	}
	policy, err := s.repository.Policy()
	if err != nil {
		return err
	}
	signed := []string{}
	if known, err := policy.OpenOrder(before.Envelope); err == nil {
		signed = known.Signers()
	}
	added := slices.DeleteFunc(order.Signers(), func(signer string) bool { return slices.Contains(signed, signer) })
	webjob.Describe(r.Context(), before.ID, map[string]any{"state": before.State, "signed_by": signed},
		map[string]any{"signs": added, "job": jobOf(order.Order), "manifest": order.Manifest, "on": order.On})
	o, err := s.dispatcher.Approve(r.Context(), before.ID, order.envelope)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, o)
}

// handleOrder shows an order, with the runs that the actor may see.
func (s fleetHandlers) handleOrder(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	detail, err := s.dispatcher.Detail(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	sees := s.sees(r.Context(), a)
	hidden := func(run webjob.OrderRun) bool { return !sees(run.Client) }
	answer := api.OrderDetail{
		OrderStatus: detail.OrderStatus, Slowest: slices.DeleteFunc(detail.Slowest, hidden), Failing: slices.DeleteFunc(detail.Failing, hidden),
		Waits: detail.Waits, Missing: int64(detail.Missing), MaySign: detail.MaySign, Envelope: detail.Envelope,
	}
	for _, run := range detail.CanaryRuns {
		if !hidden(run.OrderRun) {
			answer.CanaryRuns = append(answer.CanaryRuns, api.CanaryRun(run))
		}
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (s fleetHandlers) handleOrderRuns(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	page, err := api.DecodePage(r.URL.Query())
	if err != nil {
		return err
	}
	state := webjob.RunState(r.URL.Query().Get("state"))
	if state != "" {
		if err := state.Check(); err != nil {
			return err
		}
	}
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
	sees := s.sees(r.Context(), a)
	list := api.List[webjob.OrderRun]{Items: []webjob.OrderRun{}}
	for _, run := range runs {
		if run = s.dispatcher.StateOf(run); sees(run.Client) && (state == "" || run.State == state) {
			list.Items = append(list.Items, run)
		}
	}
	if len(runs) == page.Limit {
		list.Next = last
	}
	return writeJSON(w, http.StatusOK, list)
}

func (s fleetHandlers) handleStop(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	var request api.StopRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	reason, err := because(r.Context(), request.Reason)
	if err != nil {
		return err
	}
	before, err := s.mayOnOrder(r.Context(), a, webjob.MayOrder, r.PathValue("id"))
	if err != nil {
		return err
	}
	webjob.Describe(r.Context(), before.ID, stateOf(before), map[string]any{"running": request.Running})
	if err := s.dispatcher.Stop(r.Context(), r.PathValue("id"), doneBy("stopped", a, reason), request.Running); err != nil {
		return err
	}
	return s.handleOrder(w, r, a)
}

func (s fleetHandlers) handleResume(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	before, err := s.mayOnOrder(r.Context(), a, webjob.MayOrder, r.PathValue("id"))
	if err != nil {
		return err
	}
	webjob.Describe(r.Context(), before.ID, stateOf(before), nil)
	if err := s.dispatcher.Resume(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return s.handleOrder(w, r, a)
}

func (s fleetHandlers) handleDeliveries(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
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

// readRetry reads which deliveries are to be due again.
func readRetry(r *http.Request) (request api.RetryRequest, err error) {
	if err := readJSON(r, &request); err != nil {
		return request, err
	}
	which := "all"
	if request.Sequence > 0 {
		which = strconv.FormatInt(request.Sequence, 10)
	}
	webjob.About(r.Context(), which)
	return request, nil
}

func (s fleetHandlers) handleRetry(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	request, err := readRetry(r)
	if err != nil {
		return err
	}
	n, err := s.store.RetryDeliveries(r.Context(), request.Sequence, now())
	if err != nil {
		return err
	}
	s.courier.Wake()
	return writeJSON(w, http.StatusOK, api.RetryResponse{Retried: n})
}

func (s fleetHandlers) handleHooks(w http.ResponseWriter, _ *http.Request, _ *access.Actor) error {
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

func (s fleetHandlers) handleTestHook(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	answer, err := s.rules.Test(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	webjob.Describe(r.Context(), r.PathValue("name"), nil, map[string]any{"decision": answer.Decision})
	return writeJSON(w, http.StatusOK, answer)
}

// handleExplain tells what holds for a client and a job, and where it was set.
func (s fleetHandlers) handleExplain(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	job := r.URL.Query().Get("job")
	if job != "" {
		if err := webjob.CheckJobName(job); err != nil {
			return err
		}
	}
	webjob.About(r.Context(), bounded(r.URL.Query().Get("client")))
	client, err := s.store.Client(r.Context(), r.URL.Query().Get("client"))
	if err != nil {
		return err
	}
	if err := a.MayOn(webjob.MayView, client); err != nil {
		return err
	}
	explained := api.Explained{Client: client.ID, Job: job, Values: s.rules.Current().Overrides.Explain(client.ID, client.Labels, job)}
	if why := s.rules.NotInUse(); why != nil {
		explained.Error = why.Error()
	}
	return writeJSON(w, http.StatusOK, explained)
}

func (s fleetHandlers) handleReload(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	if err := s.Reload(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
