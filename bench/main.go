// Bench measures what docs/performance.md reports: our programs beside their peers,
// in one run, in rounds that alternate, so that noise of the machine meets both.
//
//	bench p1 [-cgi SCRIPT]   pairs of a verified get and a durable put
//	bench p2                 one cold webjob run beside curl | sh | curl -T
//	bench p3                 idle agents held by one server: memory and CPU time
//	bench p4                 one order to 10,000 agents
//	bench trust              what a job repository of 10,000 jobs costs a client
//	bench p6                 pages of lists with 10 thousand to a million runs
//	bench chart OUT.svg      what p3 measured, as a picture
//	bench bare ...           the bare net/http peer, started by the others
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: bench p1|p2|p3|p4|p6|trust|payloads")
	}
	switch args[0] {
	case "p1":
		return pairs(args[1:])
	case "p2":
		return coldRun()
	case "p3":
		return idleAgents(args[1:])
	case "p4":
		return oneOrder(args[1:])
	case "trust":
		return repositoryCosts(args[1:])
	case "payloads":
		return payloadCosts()
	case "p6":
		return growth(args[1:])
	case "chart":
		return chart(args[1:])
	case "bare":
		return serveBare(args[1:])
	}
	return fmt.Errorf("there is no benchmark %q; use p1, p2, p3, p4, p6, trust or payloads", args[0])
}

// figure is one measured value: the median of the rounds, and their range.
type figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Unit   string  `json:"unit"`
	Target string  `json:"target,omitempty"`
}

func newFigure(name, unit, target string, rounds []float64) figure {
	sorted := slices.Sorted(slices.Values(rounds))
	return figure{
		Name: name, Unit: unit, Target: target,
		Value: sorted[len(sorted)/2], Low: sorted[0], High: sorted[len(sorted)-1],
	}
}

// report prints the figures and writes them to bench/out/NAME.json.
func report(name string, figures []figure) error {
	for _, f := range figures {
		line := fmt.Sprintf("%s %.4g %s (%.4g to %.4g", f.Name, f.Value, f.Unit, f.Low, f.High)
		if f.Target != "" {
			line += "; target " + f.Target
		}
		fmt.Fprintln(os.Stdout, line+")")
	}
	encoded, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	out := filepath.Join("bench", "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, name+".json"), append(encoded, '\n'), 0o600)
}
