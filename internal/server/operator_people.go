package server

import (
	"log/slog"
	"net/http"
	"strconv"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/access"
	"webjob.dev/webjob/internal/identity"
	"webjob.dev/webjob/wire"
)

// peopleHandlers translate the requests about who is let in and what they did: operators,
// tokens, clients, the audit log. Package identity decides.
type peopleHandlers struct{ scope }

// handleLogin makes an operator of whoever holds a token. It is an act of the new operator;
// a try that fails is one of who holds that token, whatever name it asks for.
func (s peopleHandlers) handleLogin(w http.ResponseWriter, r *http.Request) error {
	var request wire.EnrollRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	r, act := tryOf(r, "operator.login")
	var err error
	if act.Reason, err = reasonIn(r); err != nil {
		return err
	}
	response, err := s.identity.Login(r.Context(), request, r.RemoteAddr)
	if err != nil {
		s.record.stranger(r.Context(), act, err)
		return err
	}
	s.metrics.enrolments.WithLabelValues(string(webjob.RoleOperator)).Inc()
	note(r, slog.String("operator", response.ID))
	return writeJSON(w, http.StatusCreated, response)
}

// handleRenew gives the operator who asks a new certificate for its key.
func (s peopleHandlers) handleRenew(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	var request api.RenewRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	operator, err := s.store.Operator(r.Context(), a.Name)
	if err != nil {
		return err
	}
	response, err := s.identity.RenewOperator(r.Context(), operator, request.CertificateRequest)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, response)
}

func (s peopleHandlers) handleOperators(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	page, err := api.DecodePage(r.URL.Query())
	if err != nil {
		return err
	}
	list, err := s.store.ListOperators(r.Context(), page)
	if err != nil {
		return err
	}
	return writeList(w, list, page, func(o webjob.Operator) string { return o.Name })
}

// handleOperator shows an operator to itself, and to who sees all.
func (s peopleHandlers) handleOperator(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	name := r.PathValue("name")
	if name != a.Name {
		if err := a.MayEverywhere(webjob.MayView); err != nil {
			return err
		}
	}
	operator, err := s.store.Operator(r.Context(), name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, operator)
}

func (s peopleHandlers) handleRoles(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	var request api.RolesRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	if _, err := because(r.Context(), request.Reason); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := s.identity.SetRoles(r.Context(), name, request.Grants); err != nil {
		return err
	}
	s.log.Info("an operator has other roles", "operator", name, "roles", webjob.GrantsText(request.Grants), "by", a.Name)
	operator, err := s.store.Operator(r.Context(), name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, operator)
}

// revoking reads why somebody or something is shut out.
func revoking(r *http.Request) (reason string, err error) {
	var request api.RevokeRequest
	if err := readJSON(r, &request); err != nil {
		return "", err
	}
	return because(r.Context(), request.Reason)
}

func (s peopleHandlers) handleRevokeOperator(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	reason, err := revoking(r)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := s.identity.RevokeOperator(r.Context(), name, doneBy("revoked", a, reason)); err != nil {
		return err
	}
	s.log.Info("an operator is revoked", "operator", name, "by", a.Name)
	operator, err := s.store.Operator(r.Context(), name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, operator)
}

func (s peopleHandlers) handleTokens(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	page, err := api.DecodeSequencePage(r.URL.Query())
	if err != nil {
		return err
	}
	list, err := s.store.ListTokens(r.Context(), page)
	if err != nil {
		return err
	}
	return writeList(w, list, page, func(t webjob.Token) string { return strconv.FormatInt(t.Sequence, 10) })
}

// readToken reads what a token is to be for.
func readToken(r *http.Request) (request api.NewTokenRequest, err error) {
	if err := readJSON(r, &request); err != nil {
		return request, err
	}
	identity.DescribeToken(r.Context(), request)
	return request, nil
}

// handleNewToken registers a token. One for a client that comes back concerns that client
// alone.
func (s peopleHandlers) handleNewToken(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	request, err := readToken(r)
	if err != nil {
		return err
	}
	if _, err := because(r.Context(), request.Reason); err != nil {
		return err
	}
	if request.Role == webjob.RoleClient && request.Name != "" {
		err = s.mayOn(r.Context(), a, webjob.MayAdmin, request.Name)
	} else {
		err = a.MayEverywhere(webjob.MayAdmin)
	}
	if err != nil {
		return err
	}
	token, err := s.identity.Tokens.New(r.Context(), request, a.Name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, api.NewTokenResponse{Token: token})
}

func (s peopleHandlers) handleRevokeToken(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	if _, err := revoking(r); err != nil {
		return err
	}
	token, err := s.identity.Tokens.Revoke(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.NewTokenResponse{Token: token})
}

func (s peopleHandlers) handleAudit(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	filter, err := api.DecodeActFilter(r.URL.Query())
	if err != nil {
		return err
	}
	if err := checkAction(s.operatorTable(), filter.Action); err != nil {
		return err
	}
	if !filter.Newest { // from its beginning on: not for looking at
		action := "audit.export"
		if r.URL.Query().Get("for") == api.ForVerify {
			action = "audit.verify"
		}
		webjob.DescribeAs(r.Context(), action, "", nil, nil)
	}
	list, err := s.store.ListActs(r.Context(), filter)
	if err != nil {
		return err
	}
	return writeList(w, list, filter.Page, func(e webjob.AuditEntry) string { return strconv.FormatInt(e.Sequence, 10) })
}

// onClient checks that the actor has the right on the client of a request, does something
// to it, and answers with the client.
func (s peopleHandlers) onClient(w http.ResponseWriter, r *http.Request, a *access.Actor, right webjob.Right, do func(id string) error) error {
	id := r.PathValue("id")
	if err := s.mayOn(r.Context(), a, right, id); err != nil {
		return err
	}
	if err := do(id); err != nil {
		return err
	}
	client, err := s.store.Client(r.Context(), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, operatorHandlers(s).withSighting(client))
}

func (s peopleHandlers) handleRevokeClient(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	reason, err := revoking(r)
	if err != nil {
		return err
	}
	return s.onClient(w, r, a, webjob.MayAdmin, func(id string) error { return s.identity.Revoke(r.Context(), id, doneBy("revoked", a, reason)) })
}

func (s peopleHandlers) handleSuspend(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	reason, err := revoking(r)
	if err != nil {
		return err
	}
	return s.onClient(w, r, a, webjob.MayOrder, func(id string) error { return s.identity.Suspend(r.Context(), id, doneBy("suspended", a, reason)) })
}

// handleReadmit ends a suspension, and whatever showed that an identity was copied.
func (s peopleHandlers) handleReadmit(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	if _, err := revoking(r); err != nil {
		return err
	}
	return s.onClient(w, r, a, webjob.MayAdmin, func(id string) error { return s.identity.Readmit(r.Context(), id) })
}

// handleApproveRenewal lets a client have a new certificate after its own expired.
func (s peopleHandlers) handleApproveRenewal(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	return s.onClient(w, r, a, webjob.MayAdmin, func(id string) error {
		if err := s.identity.Approve(r.Context(), id); err != nil {
			return err
		}
		s.log.Info("a client may come back", "client", id, "operator", a.Name)
		return nil
	})
}
