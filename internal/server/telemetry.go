package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/identity"
)

// metrics are the server's counters. docs/guide.md lists them.
type metrics struct {
	registry     *prometheus.Registry
	requests     *prometheus.CounterVec
	durations    *prometheus.HistogramVec
	results      *prometheus.CounterVec
	repeated     prometheus.Counter
	resultBytes  prometheus.Counter
	payloadBytes prometheus.Counter
	enrolments   *prometheus.CounterVec
	clones       prometheus.Counter
	hooks        *prometheus.CounterVec
	triggers     *prometheus.CounterVec
	polls        prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webjob_requests_total", Help: "Requests answered, by listener, route and status.",
		}, []string{"listener", "route", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "webjob_request_seconds", Help: "Time to answer a request, by listener and route.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"listener", "route"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webjob_results_total", Help: "Results stored, by outcome.",
		}, []string{"outcome"}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "webjob_results_repeated_total", Help: "Results that were there already when they arrived.",
		}),
		resultBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "webjob_result_bytes_total", Help: "Bytes of stored results.",
		}),
		payloadBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "webjob_payload_bytes_total", Help: "Bytes of payloads given out.",
		}),
		enrolments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webjob_enrolments_total", Help: "Certificates given, by role for a token, and renewal.",
		}, []string{"role"}),
		clones: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "webjob_clones_total", Help: "Signs that two hold the identity of a client.",
		}),
		hooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webjob_hooks_total", Help: "Hooks asked, by hook and what came of it: allowed, refused, failed_open, failed_closed.",
		}, []string{"hook", "answer"}),
		triggers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webjob_triggers_total", Help: "Attempts to tell a trigger, by trigger and whether it took the event: delivered, failed.",
		}, []string{"trigger", "answer"}),
		polls: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "webjob_agents_waiting", Help: "Agents whose poll is held open now.",
		}),
	}
	m.registry.MustRegister(m.clones, m.hooks, m.triggers, m.polls, m.requests, m.durations, m.results, m.repeated, m.resultBytes, m.payloadBytes, m.enrolments,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) request(listener, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(listener, route, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(listener, route).Observe(took.Seconds())
}

func (m *metrics) received(outcome webjob.Outcome, bytes int64, added bool) {
	if !added {
		m.repeated.Inc()
		return
	}
	m.results.WithLabelValues(string(outcome)).Inc()
	m.resultBytes.Add(float64(bytes))
}

func (m *metrics) delivered(trigger string, err error) {
	answer := "delivered"
	if err != nil {
		answer = "failed"
	}
	m.triggers.WithLabelValues(trigger, answer).Inc()
}

// TelemetryHandler serves /healthz (the process answers), /readyz (every backend
// answers, the certificate is good, and the server is not stopping) and /metrics.
func (s *Server) TelemetryHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			writeText(w, http.StatusServiceUnavailable, "stopping\n")
			return
		}
		for _, ping := range []func() error{
			func() error { return certificateReady(s.certificate) },
			func() error { return s.store.Ping(r.Context()) },
			func() error { return s.blobs.Ping(r.Context()) },
		} {
			if err := ping(); err != nil {
				writeText(w, http.StatusServiceUnavailable, err.Error()+"\n")
				return
			}
		}
		writeText(w, http.StatusOK, "ready\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

// certificateReady reports why clients could not accept the server.
func certificateReady(c *identity.OwnCertificate) error {
	if c == nil {
		return webjob.Errorf(webjob.Unavailable, "not serving yet")
	}
	return c.Ready()
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a prober that is gone needs no answer
}
